import GLENIndex
import GLENModel
import GLENPlatform
import GLENTensor
import GLENText
import Logging

extension TrainingSession {
  /// What the phases work on.
  struct Work {
    let tokenizer: SentencePieceTokenizer
    var model: T5Model
    let settings: IdentifierSettings
    let mask: Tensor
    let corpus: TrainingCorpus
    let validator: Validator?
    /// What a checkpoint must agree on.
    let fingerprint: [String: String]
  }

  /// The corpus in tokens, and the model before its first update.
  func prepared(_ dataset: RetrievalDataset, in output: URL) throws -> Work {
    let tokenizer = try tokenizer(for: dataset, in: output)
    var model = try model(for: tokenizer)
    model.recomputesBlocks = recipe.recomputesBlocks
    let size = model.configuration.vocabularySize
    let settings = IdentifierSettings(
      identifierLength: recipe.identifierLength, maximumQueryLength: recipe.maximumQueryLength,
      maximumDocumentLength: recipe.maximumDocumentLength,
      maskedTokens: IdentifierSettings.maskedTokens(
        pieceCount: tokenizer.pieceCount, vocabularySize: size, isSpecial: tokenizer.isSpecial),
      feedsTokens: recipe.feedsTokens)
    warnOfOtherIdentifiers(settings)
    logger.info("tokenising \(counted(dataset.documents.count, "document"))")
    let cache = cacheFolder.map { TokenCache(folder: $0, vocabulary: tokenizer.modelData) }
    let corpus = try TrainingCorpus(
      dataset, tokenizer: tokenizer, recipe: recipe,
      generatedQueries: generatedQueries(for: dataset), cache: cache)
    let counting = RandomKey(seed: seed).split(4)
    try begin(&model, with: corpus, tokenizer, key: counting)
    let validator = try Validator(
      dataset, split: "dev", corpus: corpus, tokenizer: tokenizer, settings: settings,
      documentLimit: recipe.validationDocuments, key: counting.split(1))
    if validator == nil, dataset.splits.contains("dev") {
      logger.warning("the dev split judges no document relevant: nothing is validated on it")
    }
    logger.info(
      """
      \(counted(corpus.documents.count, "document")), \
      \(counted(corpus.questions.count, "training question")), \
      \(tokenizer.pieceCount) pieces, \(model.parameterCount) parameters
      """)
    let optimizations = [recipe.keywords.optimization, recipe.refinement.optimization]
    if validator == nil, optimizations.contains(where: { $0.patience > 0 }) {
      logger.warning("there is no dev split to validate on: the recipe's patience has no effect")
    }
    let mask = try settings.mask(vocabularySize: size, on: backend)
    if phases.contains(.refine) {
      // What phase 2 cannot use should be known before phase 1, and not after it.
      let objective = try RefinementObjective(
        corpus, recipe: recipe, settings: settings, mask: mask, key: RandomKey(seed: seed))
      if objective.negatives < recipe.refinement.negatives {
        logger.warning(
          """
          refinement: every query gets \(objective.negatives) negatives, not \
          \(recipe.refinement.negatives), because one of them leaves no more documents that do not answer it
          """)
      }
    }
    if phases.contains(.queries), recipe.queries.validationInterval > 0 {
      logger.warning(
        "queries: generating queries is not validated; validationInterval has no effect")
    }
    return Work(
      tokenizer: tokenizer, model: model, settings: settings, mask: mask, corpus: corpus,
      validator: validator, fingerprint: try fingerprint(corpus, validator, model.configuration))
  }

  /// Says where phase 2 alone goes on from a model of other identifiers than the recipe's.
  private func warnOfOtherIdentifiers(_ settings: IdentifierSettings) {
    guard case .folder(let folder) = start, phases.first == .refine,
      let its = try? IdentifierSettings(folder: folder)
    else { return }
    let numbers = [
      ("identifierLength", its.identifierLength, settings.identifierLength),
      ("maximumQueryLength", its.maximumQueryLength, settings.maximumQueryLength),
      ("maximumDocumentLength", its.maximumDocumentLength, settings.maximumDocumentLength),
    ]
    var others = numbers.filter { $0.1 != $0.2 }.map { "\($0) is \($2) and was \($1)" }
    if its.feedsTokens != settings.feedsTokens {
      others.append("feedsTokens is \(settings.feedsTokens) and was \(its.feedsTokens)")
    }
    for other in others { logger.warning("not as the model learned it in phase 1: \(other)") }
  }

  /// Gives the table of a model that does not come with one its first numbers.
  private func begin(
    _ model: inout T5Model, with corpus: TrainingCorpus, _ tokenizer: SentencePieceTokenizer,
    key: RandomKey
  ) throws {
    switch start {
    case .random where recipe.beginsCopying:
      try model.begin(with: corpus.documents, key: key)
    case .starter(let starter):
      let transfer = try starter.table(
        for: tokenizer, documents: corpus.documents,
        vocabularySize: model.configuration.vocabularySize, key: key)
      let share = Int((100 * transfer.sharedShare).rounded())
      logger.info(
        """
        beginning from \(starter), which knows \(counted(transfer.sharedCount, "piece")) of the \
        corpus, \(share) % of its text
        """)
      if transfer.sharedShare < Self.leastSharedShare {
        logger.warning("so little is hardly a beginning; random weights may do better")
      }
      try model.replaceTable(transfer.rows)
    case .random, .folder: break
    }
  }

  /// What part of a corpus a starter should know: of English text ours knows nine tenths.
  private static let leastSharedShare = 0.25

  /// What a checkpoint must agree on: checksums (FNV-1a) of everything that is trained or validated on.
  private func fingerprint(
    _ corpus: TrainingCorpus, _ validator: Validator?, _ configuration: T5Configuration
  ) throws -> [String: String] {
    let numbers = String(decoding: try Self.json(recipe.unchangeable), as: UTF8.self)
    let shape = String(decoding: try Self.json(configuration), as: UTF8.self)
    func checksum(_ texts: some Sequence<[Int]>) -> String {
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for value in texts.lazy.joined(separator: CollectionOfOne(-1)) {
        hash = (hash ^ UInt64(bitPattern: Int64(value))) &* 0x100_0000_01b3
      }
      return String(hash, radix: 16)
    }
    return [
      "recipe": numbers, "seed": "\(seed)", "network": shape,
      "corpus": checksum(corpus.documents.lazy.map { $0.map(Int.init) }),
      "set of training questions": checksum(
        corpus.questions.lazy.map { $0.tokens.map(Int.init) + [-2] + $0.positives }),
      "set of generated queries": checksum(
        corpus.generated.lazy.map { $0.tokens.map(Int.init) + [-2, $0.document] }),
      "dev split": checksum(
        (validator?.judgedQueries ?? []).lazy.map {
          $0.tokens.map(Int.init) + [-2] + $0.positives.sorted()
        }),
    ]
  }

  private func generatedQueries(
    for dataset: RetrievalDataset
  ) throws -> [GeneratedQueries.Pair] {
    try generatedQueryURLs.flatMap { url in
      let (pairs, skipped, unknown) = try GeneratedQueries.pairs(
        contentsOf: url, of: dataset, malformedLineLimit: malformedLineLimit,
        skipsUnknownDocuments: skipsUnknownDocuments)
      for line in skipped.prefix(5) { logger.warning("\(line)") }
      if pairs.isEmpty { logger.warning("there is no query in \(url.path)") }
      if unknown > 0 {
        logger.warning(
          "left out \(counted(unknown, "line")) of documents that the corpus does not have")
      }
      logger.info(
        """
        \(counted(pairs.count, "generated query", "generated queries")), \
        \(counted(skipped.count, "malformed line")) in \(url.path)
        """)
      return pairs
    }
  }

  /// The vocabulary: the one that is named, the start's, or a new one from the corpus.
  private func tokenizer(
    for dataset: RetrievalDataset, in output: URL
  ) throws -> SentencePieceTokenizer {
    if let tokenizerURL {
      let tokenizer = try SentencePieceTokenizer(contentsOf: tokenizerURL, sentinelCount: 0)
      if case .folder(let folder) = start,
        T5Model.contradict(
          try WeightFiles(folder: folder).open(), vocabulary: tokenizer.modelData)
      {
        throw ModelError.configuration(path: tokenizerURL.path, reason: T5Model.otherVocabulary)
      }
      return tokenizer
    }
    if case .folder(let folder) = start {
      return try SentencePieceTokenizer(
        contentsOf: folder.appendingPathComponent("spiece.model"), sentinelCount: 0)
    }
    let own = Self.vocabularyCheckpoint(in: output)
    if resumes, FileManager.default.fileExists(atPath: own.path) {
      return try SentencePieceTokenizer(contentsOf: own, sentinelCount: 0)
    }
    logger.info("training a vocabulary of \(recipe.vocabularySize) pieces")
    let texts =
      dataset.documents.map { TextCleaning.clean($0.fullText) }
      + Set(try dataset.judgements(split: "train").map(\.query)).sorted().map {
        TextCleaning.clean(dataset.queries[$0].text)
      }
    try SentencePieceTokenizer.train(
      sentences: texts, vocabularySize: recipe.vocabularySize, to: own, lowercased: true)
    return try SentencePieceTokenizer(contentsOf: own, sentinelCount: 0)
  }

  private func model(for tokenizer: SentencePieceTokenizer) throws -> T5Model {
    switch start {
    case .random(var configuration):
      configuration.vocabularySize = Self.rowCount(for: tokenizer)
      return try T5Model(
        random: configuration, key: RandomKey(seed: seed).split(0), on: backend)
    case .starter(let starter):
      // Its table is for the corpus to fill.
      var model = starter.model
      let width = model.configuration.width
      try model.replaceTable([Float](repeating: 0, count: Self.rowCount(for: tokenizer) * width))
      try model.visitParameters { _, tensor in tensor = try tensor.moved(to: backend) }
      return model
    case .folder(let folder):
      let model = try T5Model(folder: folder, on: backend) { logger.warning("\($0)") }
      try model.requireFloat32(path: folder.path, to: "train")
      guard tokenizer.pieceCount <= model.configuration.vocabularySize else {
        throw ModelError.configuration(
          path: folder.path,
          reason: "the vocabulary has \(tokenizer.pieceCount) pieces, the table only "
            + "\(model.configuration.vocabularySize) rows")
      }
      return model
    }
  }

  /// T5's own vocabulary keeps its table of 32128 rows; another is rounded up to 16.
  private static func rowCount(for tokenizer: SentencePieceTokenizer) -> Int {
    tokenizer.pieceCount == 32000 ? 32128 : (tokenizer.pieceCount + 15) / 16 * 16
  }
}
