// Lists of tensors that one grid goes through, as Swift fills them in and as the kernels read them.
#ifndef GLEN_PARAMETERS_H
#define GLEN_PARAMETERS_H

// One parameter of an update.
typedef struct glen_adamw_parameter {
  const float *gradient;
  float *weight, *first_moment, *second_moment;
  // The weight as bfloat16, for the products to come, or null.
  unsigned short *rounded;
  long count;
  // The blocks of this parameter and those before it.
  long end;
  float rate, beta1, beta2, epsilon, decay, correction1, correction2, gradient_scale;
} glen_adamw_parameter;

// Elements whose squares are summed.
typedef struct glen_squares_run {
  const float *x;
  long count;
  // The blocks of this run and those before it.
  long end;
} glen_squares_run;

// The elements of a block.
enum { glen_adamw_elements = 4096, glen_squares_elements = 16384 };

// Steps that lie side by side in the rows of one matrix.
enum { glen_stack_steps = 8 };
typedef struct glen_stack {
  // Where each step begins, or null.
  float *steps[glen_stack_steps];
  // What is written beside a step: the same as bfloat16, or null.
  unsigned short *rounded[glen_stack_steps];
  int accumulates[glen_stack_steps];
  // Where the first of these steps begins in the matrix.
  float *stacked;
  // The width of a step, and of a row of the matrix.
  long width, stride;
} glen_stack;

#endif
