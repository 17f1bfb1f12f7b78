import Foundation
import Testing

@testable import GLENText

@Suite("Keywords")
struct KeywordExtractorTests {
  private let stub = StubTokenizer([
    "river", "boat", "fog", "clock", ",", "12", "7", "1", "▁3", "été",
  ])

  @Test("The best keywords are those of the weight's formula, best first")
  func formula() {
    var generator = SeededGenerator(seed: 2)
    let letters = StubTokenizer((0..<30).map { "w\($0)" })
    for _ in 0..<20 {
      let documents = (0..<25).map { _ in
        (0..<Int.random(in: 8...40, using: &generator)).map { _ in
          Int32.random(in: 3..<33, using: &generator)
        }
      }
      let extractor = KeywordExtractor(documents: documents, tokenizer: letters)
      for (number, document) in documents.enumerated() {
        let expected = naiveKeywords(document, of: documents, count: 4)
        #expect(extractor.keywords(of: number, count: 4) == expected)
        #expect(extractor.keywords(for: document, count: 4) == expected)
      }
    }
  }

  @Test("Rare pieces beat common ones, and equal ones come by position")
  func order() {
    let documents = ["river boat fog", "river boat", "river clock fog"].map { stub.encode($0) }
    let extractor = KeywordExtractor(documents: documents, tokenizer: stub)
    #expect(names(extractor.keywords(of: 2, count: 3)) == ["clock", "fog", "river"])
    #expect(names(extractor.keywords(of: 0, count: 2)) == ["boat", "fog"])
    #expect(names(extractor.keywords(for: stub.encode("fog boat"), count: 2)) == ["fog", "boat"])
  }

  @Test("Pieces without a letter, special tokens and foreign ids are no keywords")
  func eligibility() {
    let document = stub.encode("12 , nonsense été ▁3 boat") + [0, 1, 99, -4, .max, .min]
    let extractor = KeywordExtractor(documents: [document, []], tokenizer: stub)
    #expect(names(extractor.keywords(of: 0, count: 2)) == ["été", "boat"])
  }

  @Test("Bytes of characters that the vocabulary lacks are no keywords, other brackets are")
  func bytes() {
    let tokenizer = StubTokenizer(["<0xE4>", "<0xBA>", "<0xer>", "boat"])
    let document = tokenizer.encode("<0xE4> <0xE4> <0xBA> <0xer> boat")
    let extractor = KeywordExtractor(documents: [document, [6], [6], []], tokenizer: tokenizer)
    let found = extractor.keywords(of: 0, count: 4).map(tokenizer.piece)
    #expect(found == ["<0xer>", "boat", "<0xE4>", "<0xBA>"])
  }

  @Test("Too few keywords: pieces without a letter, then the last one again")
  func padding() {
    let documents = ["boat , boat 7", "boat", "", "nonsense"].map { stub.encode($0) }
    let extractor = KeywordExtractor(documents: documents, tokenizer: stub)
    #expect(names(extractor.keywords(of: 0, count: 5)) == ["boat", ",", "7", "7", "7"])
    #expect(names(extractor.keywords(of: 1, count: 3)) == ["boat", "boat", "boat"])
    #expect(names(extractor.keywords(of: 2, count: 2)) == ["river", "river"])
    #expect(names(extractor.keywords(of: 3, count: 1)) == ["river"])
    #expect(extractor.keywords(of: 0, count: 0) == [] && extractor.keywords(of: 0, count: -1) == [])
    #expect(extractor.keywords(of: 4, count: 2) == [] && extractor.keywords(of: -1, count: 2) == [])
    let nothing = KeywordExtractor(documents: [[]], tokenizer: StubTokenizer([]))
    #expect(nothing.keywords(of: 0, count: 3) == [])
    #expect(KeywordExtractor(documents: [], tokenizer: stub).keywordTargets(count: 3) == [])
  }

  @Test("Documents with equal keywords get one number each, the others none")
  func targets() {
    let documents = ["boat fog", "clock river", "boat fog", "fog boat", "boat fog", "boat fog"]
      .map { stub.encode($0) }
    let targets = KeywordExtractor(documents: documents, tokenizer: stub).keywordTargets(count: 2)
    // Three numbers without a space: 1, 7, 12; the fourth equal document starts over.
    #expect(
      targets.map(names) == [
        ["boat", "fog", "1"], ["clock", "river"], ["boat", "fog", "7"], ["fog", "boat"],
        ["boat", "fog", "12"], ["boat", "fog", "1"],
      ])
    let noNumbers = StubTokenizer(["a", "b"])
    let equal = KeywordExtractor(documents: [[3, 4], [3, 4]], tokenizer: noNumbers)
    #expect(equal.keywordTargets(count: 2) == [[3, 4], [3, 4]])
  }

  @Test("Titles and texts are joined, cleaned, lower-cased and cut")
  func texts() throws {
    let tokenizer = try SmallCorpus.tokenizer.get()
    let texts = [
      (title: "The Harbour", text: "\"welcomes\"\nseven wooden boats."),
      (title: "", text: SmallCorpus.sentences.joined(separator: " ")),
    ]
    let documents = [
      tokenizer.encode("the harbour welcomes seven wooden boats."),
      Array(
        tokenizer.encode(SmallCorpus.sentences.joined(separator: " ").lowercased()).prefix(156)),
    ]
    let fromTexts = KeywordExtractor(texts: texts, tokenizer: tokenizer)
    let fromPieces = KeywordExtractor(documents: documents, tokenizer: tokenizer)
    #expect(fromTexts.documentCount == 2)
    #expect(fromTexts.keywordTargets(count: 5) == fromPieces.keywordTargets(count: 5))
  }

  @Test(
    "Every real document gets distinct keywords that it holds",
    .enabled(if: SharedData.isAvailable, "GLEN_DATA does not name the folder of real data"))
  func realDocuments() throws {
    struct Document: Decodable {
      var title: String
      var text: String
    }
    let tokenizer = try SentencePieceTokenizer(contentsOf: SharedData.url("t5/spiece.model"))
    let corpus = try SharedData.rows("squad-tiny/corpus.jsonl", as: Document.self)
    let extractor = KeywordExtractor(
      texts: corpus.map { (title: $0.title, text: $0.text) }, tokenizer: tokenizer)
    let targets = extractor.keywordTargets(count: 3)
    #expect(Set(targets).count == corpus.count)
    for (document, target) in zip(corpus, targets) {
      let keywords = target.prefix(3)
      let pieces = KeywordExtractor.pieces(
        title: document.title, text: document.text, tokenizer: tokenizer)
      #expect(Set(keywords).count == 3 && Set(pieces).isSuperset(of: keywords))
      #expect(keywords.allSatisfy { tokenizer.piece($0).contains(where: \.isLetter) })
      #expect(pieces.count <= 156 && !pieces.contains(SpecialToken.endOfSequence))
    }
  }

  private func names(_ tokens: [Int32]) -> [String] {
    tokens.map { stub.piece($0) }
  }

  private func naiveKeywords(
    _ document: [Int32], of documents: [[Int32]], count: Int
  ) -> [Int32] {
    let total = Double(documents.count)
    let average = Double(documents.reduce(0) { $0 + $1.count }) / total
    let weighted = Set(document).map { token -> (token: Int32, weight: Double, position: Int) in
      let frequency = Double(document.filter { $0 == token }.count)
      let documentFrequency = Double(documents.filter { $0.contains(token) }.count)
      let idf = log(1 + (total - documentFrequency + 0.5) / (documentFrequency + 0.5))
      let norm = 100 * (1 - 0.75 + 0.75 * Double(document.count) / average)
      let weight = idf * frequency * 101 / (frequency + norm)
      return (token, weight, document.firstIndex(of: token) ?? 0)
    }
    // Weights that differ only by rounding count as equal.
    let sorted = weighted.sorted { first, second in
      abs(first.weight - second.weight) < 1e-6
        ? first.position < second.position : first.weight > second.weight
    }
    return sorted.prefix(count).map(\.token)
  }
}
