/* SIGINT and SIGTERM: the first one asks the run to finish its step and save, the second leaves at once. */
#ifndef TRAINER_SIGNALS_H
#define TRAINER_SIGNALS_H

/* Installs the handlers. Main thread. */
void signals_catch(void);

/* The signal that came, or 0. */
int signals_caught(void);

#endif
