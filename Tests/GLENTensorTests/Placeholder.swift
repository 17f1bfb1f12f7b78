// Tests of GLENTensor.
