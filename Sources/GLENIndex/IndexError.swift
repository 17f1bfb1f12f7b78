/// What can go wrong while an index is built, searched, saved, or opened.
///
/// Every description has the form "operation: what is wrong; expected ..., got ...; what to do".
public enum IndexError: Error, Sendable, Equatable {
  /// The score table of a query cannot be used.
  case invalidScores(String)

  /// The identifiers or weights of the documents cannot be made into a table.
  case invalidIdentifiers(String)

  /// The names or titles of the documents do not fit the table.
  case invalidDocuments(String)

  /// A search was asked for something that it cannot do.
  case invalidSearch(String)

  /// A search did not end within the time that its caller allowed.
  case timedOut(limit: Duration)

  /// A file of an index folder does not hold what it should.
  case damagedFile(path: String, problem: String)

  /// An index folder that changes were made for holds the index of another model by now.
  case replacedMeanwhile(path: String)

  /// A file of an index folder has a format version that this release does not read.
  case unsupportedVersion(path: String, found: Int, supported: Int)

  /// A folder that an index was to be saved in holds something else; `name` is one of its files.
  case foreignFolder(path: String, name: String)

  /// The operating system refused an operation on a file; `code` is its `errno`.
  case fileSystem(operation: String, path: String, code: Int32)
}
