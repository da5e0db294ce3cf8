/* The formats that dataset.c lists, one file each. */
#ifndef DATA_FORMATS_H
#define DATA_FORMATS_H

extern const struct dataset_format dataset_mnist;
extern const struct dataset_format dataset_synthetic;

#endif
