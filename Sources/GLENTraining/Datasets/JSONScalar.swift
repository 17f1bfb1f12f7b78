/// A member of a JSON object as far as the data files need it.
enum JSONScalar: Equatable {
  /// A string, unescaped.
  case string(String)
  /// A number, as it is written.
  case number(String)
  /// null.
  case null
  /// A Boolean, an array or an object, checked and passed over.
  case other
}
