#ifndef GLEN_SP_MODEL_CHECK_H
#define GLEN_SP_MODEL_CHECK_H

#include <string_view>

// Looks for what SentencePiece takes on trust in a serialised model and would read out of bounds or
// loop over: broken framing, empty pieces, scores that are no numbers, a normalisation table whose
// links leave the table. A model that is not unigram counts as a fault too. Returns a description of
// the first fault, or null.
const char *glen_sp_model_fault(std::string_view model);

#endif
