#ifndef GLEN_STARTER_H
#define GLEN_STARTER_H

/// A file of the starter model, as a part of the program.
typedef struct {
  /// Its bytes; null where the compiler could not embed it (C23's #embed).
  const unsigned char *bytes;
  long length;
} glen_starter_file;

/// `config.json`, the shape.
glen_starter_file glen_starter_configuration(void);
/// `model.safetensors`, the weights.
glen_starter_file glen_starter_weights(void);
/// `spiece.model`, the vocabulary.
glen_starter_file glen_starter_vocabulary(void);

#endif
