/// Where everything lies in an identifiers file.
struct IdentifierLayout: DataFileLayout {
  static let name = "GLENIDEN"

  /// The largest vocabulary that a table accepts.
  static let largestVocabulary = 1 << 24

  /// The longest identifiers that a table accepts.
  static let largestLength = 1 << 10

  let documentCount: Int
  let identifierCount: Int
  let identifierLength: Int
  let vocabularySize: Int
  let levelTokenCount: Int
  let codeWidth: Int
  let weightFormat: WeightFormat

  let levelOffsets: Section
  let levelTokens: Section
  let columns: [Section]
  let bucketOffsets: Section
  let weights: Section
  let length: Int

  var flags: UInt32 { UInt32(codeWidth | weightFormat.width << 8) }

  var counts: [Int] {
    [documentCount, identifierCount, identifierLength, vocabularySize, levelTokenCount]
  }

  init?(flags: UInt32, counts: [Int]) {
    guard flags >> 16 == 0, let format = WeightFormat(width: Int(flags >> 8)) else { return nil }
    self.init(
      documentCount: counts[0], identifierCount: counts[1], identifierLength: counts[2],
      vocabularySize: counts[3], levelTokenCount: counts[4], codeWidth: Int(flags & 0xFF),
      weightFormat: format)
  }

  /// Derives the sections, or nil where the counts cannot be those of a table.
  init?(
    documentCount: Int, identifierCount: Int, identifierLength: Int, vocabularySize: Int,
    levelTokenCount: Int, codeWidth: Int, weightFormat: WeightFormat
  ) {
    guard codeWidth == 2 || codeWidth == 4,
      documentCount >= 0, documentCount < Int(UInt32.max),
      identifierCount >= 0, identifierCount <= documentCount,
      (identifierCount == 0) == (documentCount == 0),
      identifierLength >= 1, identifierLength <= Self.largestLength,
      vocabularySize >= 0, vocabularySize <= Self.largestVocabulary,
      levelTokenCount >= 0, levelTokenCount <= identifierLength * identifierCount
    else { return nil }
    var cursor = Self.headerLength
    guard
      let levelOffsets = Section.append(count: identifierLength + 1, stride: 4, cursor: &cursor),
      let levelTokens = Section.append(count: levelTokenCount, stride: 4, cursor: &cursor)
    else { return nil }
    var columns: [Section] = []
    for _ in 0..<identifierLength {
      guard
        let column = Section.append(count: identifierCount, stride: codeWidth, cursor: &cursor)
      else { return nil }
      columns.append(column)
    }
    guard
      let buckets = Section.append(count: identifierCount + 1, stride: 4, cursor: &cursor),
      let weights = Section.append(
        count: documentCount, stride: weightFormat.width * identifierLength, cursor: &cursor)
    else { return nil }
    self.documentCount = documentCount
    self.identifierCount = identifierCount
    self.identifierLength = identifierLength
    self.vocabularySize = vocabularySize
    self.levelTokenCount = levelTokenCount
    self.codeWidth = codeWidth
    self.weightFormat = weightFormat
    self.levelOffsets = levelOffsets
    self.levelTokens = levelTokens
    self.columns = columns
    self.bucketOffsets = buckets
    self.weights = weights
    self.length = cursor
  }
}
