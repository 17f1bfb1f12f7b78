// One parameter of an update, as Swift fills it in and as the kernel reads it.
#ifndef GLEN_ADAMW_H
#define GLEN_ADAMW_H

typedef struct glen_adamw_parameter {
  const float *gradient;
  float *weight, *first_moment, *second_moment;
  // The weight as bfloat16, for the products to come, or null.
  unsigned short *rounded;
  long count;
  // The blocks that update this parameter and those before it.
  long end;
  float rate, beta1, beta2, epsilon, decay, correction1, correction2, gradient_scale;
} glen_adamw_parameter;

// The elements that a block updates.
enum { glen_adamw_elements = 4096 };

#endif
