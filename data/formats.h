/* The formats that dataset.c lists, one file each. */
#ifndef DATA_FORMATS_H
#define DATA_FORMATS_H

/* "0".."9" (mnist.c). */
extern const char *const digit_names[];

extern const struct dataset_format dataset_mnist;
extern const struct dataset_format dataset_cifar10;
extern const struct dataset_format dataset_synthetic;
extern const struct dataset_format dataset_synthetic_cifar10;
extern const struct dataset_format dataset_synthetic_imagenet;

#endif
