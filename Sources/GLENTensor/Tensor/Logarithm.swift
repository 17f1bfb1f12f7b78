#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The natural logarithm in single precision.
func logarithm(_ x: Float) -> Float { log(x) }
