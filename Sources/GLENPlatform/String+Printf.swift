extension String {
  /// Numbers as C's `printf` writes them, with a decimal point whatever the process's locale.
  ///
  /// Strings and objects have no place in the format: interpolate them.
  package init(printf format: String, _ arguments: any CVarArg...) {
    #if canImport(FoundationEssentials)
      // An app may have set a locale with decimal commas for the process; this thread does without for now.
      let former = uselocale(Self.cLocale)
      defer { uselocale(former) }
      var length = 255
      var text = ""
      // Once, or again where the numbers are longer than that.
      for _ in 0..<2 {
        let capacity = length + 1
        text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
          length = withVaList(arguments) {
            Int(vsnprintf(buffer.baseAddress, capacity, format, $0))
          }
          guard length >= 0, let start = buffer.baseAddress else { return "" }
          return String(cString: start)
        }
        if length < capacity { break }
      }
      self = text
    #else
      self = String(format: format, arguments: arguments)
    #endif
  }

  #if canImport(FoundationEssentials)
    /// Never freed, as every number needs it.
    private nonisolated(unsafe) static let cLocale = newlocale(1 << LC_NUMERIC, "C", nil)
  #endif

  /// The text with spaces behind it up to `width` characters; nothing is cut off.
  package func padded(to width: Int) -> String {
    self + String(repeating: " ", count: Swift.max(0, width - count))
  }
}
