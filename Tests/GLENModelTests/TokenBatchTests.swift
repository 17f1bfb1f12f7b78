import GLENTensor
import Testing

@testable import GLENModel

struct TokenBatchTests {
  @Test func packsSequencesEndToEnd() throws {
    let batch = try TokenBatch([[3, 1], [1], [4, 5, 1]], vocabularySize: 6)
    #expect(batch.count == 3)
    #expect(try batch.tokens.values() == [3, 1, 1, 4, 5, 1])
    #expect(batch.offsets.offsets == [0, 2, 3, 6])
    #expect(batch.offsets.longest == 3)
    #expect(batch.offsets.totalLength == 6)
  }

  @Test func needsSequences() {
    let error = #expect(throws: ModelError.self) { try TokenBatch([], vocabularySize: 6) }
    #expect(error?.description == "a batch has no sequences")
  }

  @Test func namesAnEmptySequence() {
    let error = #expect(throws: ModelError.self) {
      try TokenBatch([[1], [], [2]], vocabularySize: 6)
    }
    #expect(error?.description.hasPrefix("sequence 1 is empty") == true)
  }

  @Test(arguments: [-1, 6, 7, Int32.min, Int32.max])
  func namesATokenOutsideTheVocabulary(token: Int32) {
    let error = #expect(throws: ModelError.self) {
      try TokenBatch([[1], [2, token]], vocabularySize: 6)
    }
    #expect(error?.description.hasPrefix("sequence 1 has the token \(token)") == true)
  }

  @Test func takesTheFirstAndTheLastToken() throws {
    #expect(try TokenBatch([[0, 5]], vocabularySize: 6).tokens.values() == [0, 5])
  }
}
