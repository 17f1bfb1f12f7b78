/// A member of a JSON object as far as the data files need it.
enum JSONScalar: Equatable {
  /// A string, unescaped.
  case string(String)
  /// A number, as it is written.
  case number(String)
  /// A truth value.
  case bool(Bool)
  /// null.
  case null
  /// An object that is a member of the line's own; of members with one name the last.
  case object([String: JSONScalar])
  /// An array, or an object further inside, checked and passed over.
  case other
}
