import Foundation
import GLENTensor
import Testing

@testable import GLENModel

struct IdentifierSettingsTests {
  @Test func whatIsSavedReadsBack() throws {
    let folder = try TemporaryFolder()
    let settings = IdentifierSettings(
      identifierLength: 5, maximumQueryLength: 12, maximumDocumentLength: 99,
      maskedTokens: [2, 7, 8], feedsTokens: true)
    try settings.save(to: folder.url)
    #expect(try IdentifierSettings(folder: folder.url) == settings)
  }

  @Test func theMaskHasTheUnknownTokenAndThePaddedRows() throws {
    let masked = IdentifierSettings.maskedTokens(pieceCount: 5, vocabularySize: 8)
    #expect(masked == [2, 5, 6, 7])
    // A vocabulary as large as the table leaves no padded rows; a larger one does not trap.
    #expect(IdentifierSettings.maskedTokens(pieceCount: 8, vocabularySize: 8) == [2])
    #expect(IdentifierSettings.maskedTokens(pieceCount: 9, vocabularySize: 8) == [2])
    // Sentinels among the pieces, as mT5 has them; pad and the end stay.
    #expect(
      IdentifierSettings.maskedTokens(pieceCount: 7, vocabularySize: 8) {
        [0, 1, 2, 5, 6].contains($0)
      }
        == [2, 5, 6, 7])
    #expect(IdentifierSettings.maskedTokens(pieceCount: 0, vocabularySize: 0) == [2])
    let mask = try IdentifierSettings(maskedTokens: [-4, 2, 5, 900])
      .mask(vocabularySize: 6, on: CPUBackend.shared)
    #expect(try mask.values() == [0, 0, -.infinity, 0, 0, -.infinity])
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"identifier_length": 3}"#,
    #"{"identifier_length":0,"maximum_query_length":32,"maximum_document_length":156,"masked_token_ids":[]}"#,
    #"{"identifier_length":65,"maximum_query_length":32,"maximum_document_length":156,"masked_token_ids":[]}"#,
    #"{"identifier_length":3,"maximum_query_length":1,"maximum_document_length":156,"masked_token_ids":[]}"#,
    #"{"identifier_length":3,"maximum_query_length":32,"maximum_document_length":65537,"masked_token_ids":[]}"#,
    #"{"identifier_length":3,"maximum_query_length":32,"maximum_document_length":156,"masked_token_ids":[1e10]}"#,
  ])
  func rejectsOtherContents(text: String) throws {
    let folder = try TemporaryFolder()
    try Data(text.utf8).write(to: folder.file("glen.json"))
    let error = #expect(throws: ModelError.self) { try IdentifierSettings(folder: folder.url) }
    #expect(error?.description.hasPrefix(folder.file("glen.json").path) == true)
  }

  @Test func aFolderWithoutThemIsMissingAFile() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: ModelError.self) { try IdentifierSettings(folder: folder.url) }
    guard case .missingFile? = error else {
      Issue.record("unexpected error: \(String(describing: error))")
      return
    }
  }
}
