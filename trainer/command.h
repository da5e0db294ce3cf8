/* The program's commands. Each gets what follows its name, prints its own results, and returns an exit code; with -1 the error says it. */
#ifndef TRAINER_COMMAND_H
#define TRAINER_COMMAND_H

struct error;

int command_train(int n, char **words, struct error *error);
int command_eval(int n, char **words, struct error *error);
int command_predict(int n, char **words, struct error *error);
int command_config(int n, char **words, struct error *error);
int command_info(int n, char **words, struct error *error);

#endif
