import GLENPlatform

/// The natural logarithm in single precision.
func logarithm(_ x: Float) -> Float { log(x) }
