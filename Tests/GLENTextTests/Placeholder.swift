// Tests of GLENText.
