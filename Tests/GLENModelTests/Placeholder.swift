// Tests of GLENModel.
