// Tests of GLENIndex.
