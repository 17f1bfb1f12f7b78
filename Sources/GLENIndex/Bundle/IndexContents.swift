/// What an index folder holds, as an immutable snapshot.
///
/// The data files stay mapped for as long as the table or the catalog lives, so a later save to the
/// same folder changes nothing here.
public struct IndexContents: Sendable {
  /// The documents' identifiers and weights.
  public let table: IdentifierTable

  /// The documents' own names and titles.
  public let documents: DocumentCatalog

  /// Names the model that made the identifiers, as it was passed to the save.
  public let modelFingerprint: String
}
