extension Recipe {
  /// Checks the ranges of all values.
  ///
  /// - Throws: `TrainingError.recipe` that names the first value out of range.
  public func validate(path: String = "recipe") throws(TrainingError) {
    func require(_ isFine: Bool, _ what: String) throws(TrainingError) {
      if !isFine { throw .recipe(path: path, reason: what) }
    }
    try require((1...64).contains(identifierLength), "identifierLength must be 1 to 64")
    try require(
      (2...4096).contains(maximumQueryLength) && (2...4096).contains(maximumDocumentLength),
      "the maximum lengths must be 2 to 4096")
    try require(
      (16...1_000_000).contains(vocabularySize), "vocabularySize must be 16 to 1000000")
    try require(validationDocuments >= 0, "validationDocuments must not be negative")
    for (name, o) in [
      ("keywords", keywords.optimization), ("refinement", refinement.optimization),
      ("queries", queries),
    ] {
      if let problem = o.problem { throw .recipe(path: path, reason: "\(name): \(problem)") }
    }
    let k = keywords
    let weights = [
      ("keywords", [k.queryWeight, k.generatedWeight, k.documentWeight, k.chunkWeight]),
      ("refinement", [refinement.queryWeight, refinement.chunkWeight]),
    ]
    for (name, weights) in weights {
      try require(
        weights.allSatisfy { (0...1000).contains($0) } && weights.contains { $0 > 0 },
        "\(name): weights must be 0 to 1000 and not all 0")
    }
    try require(
      (2...4096).contains(k.chunkLength)
        && (k.shortestChunkLength == 0 || (2...k.chunkLength).contains(k.shortestChunkLength))
        && (0..<1).contains(k.tokenDropRate),
      "keywords: chunkLength must be 2 to 4096, shortestChunkLength 0 or 2 to chunkLength, "
        + "tokenDropRate 0 or more and below 1")
    let c = k.contrast
    try require(
      (0...1000).contains(c.weight) && c.shortestSpan >= 0 && (0...1).contains(c.paddingShare)
        && (0...1).contains(c.paddingRate),
      "keywords.contrast: weight must be 0 to 1000, shortestSpan not negative, paddingShare and "
        + "paddingRate 0 to 1")
    let r = refinement
    try require(
      (0...4096).contains(r.negatives) && (0..<1).contains(r.tokenDropRate)
        && (0...1000).contains(r.pointwiseWeight) && (0...1000).contains(r.distanceWeight),
      "refinement: negatives must be 0 to 4096, tokenDropRate 0 or more and below 1, "
        + "pointwiseWeight and distanceWeight 0 to 1000")
    // Logits of some thousands must stay numbers when they are divided by it.
    try require(
      (1e-10...1e10).contains(r.lowestTemperature),
      "refinement: lowestTemperature must be 1e-10 to 1e10")
    try require(
      r.documentLength == 0 || (2...4096).contains(r.documentLength),
      "refinement: documentLength must be 0 or 2 to 4096")
    try require(
      r.queryChunkSize >= 0 && r.documentChunkSize >= 0,
      "refinement: queryChunkSize and documentChunkSize must not be negative")
  }
}

extension Recipe.Optimization {
  /// What is out of range, or nil.
  var problem: String? {
    if steps < 0 { return "steps must not be negative" }
    if !(1...(1 << 20)).contains(batchSize) || !(1...(1 << 20)).contains(accumulation) {
      return "batchSize and accumulation must be 1 to 1048576"
    }
    // Examples are counted through a whole phase.
    if steps > (1 << 62) / (batchSize * accumulation) {
      return "steps are more than can be counted"
    }
    let rates = [learningRate, decoderLearningRate]
    if !rates.allSatisfy({ $0 > 0 && $0 < 1 }) { return "learning rates must be between 0 and 1" }
    let counts = [
      ("warmupSteps", warmupSteps), ("checkpointInterval", checkpointInterval),
      ("validationInterval", validationInterval), ("patience", patience),
    ]
    if let (name, _) = counts.first(where: { $0.1 < 0 }) { return "\(name) must not be negative" }
    let limits = [
      ("clippingNorm", clippingNorm), ("largestLoss", largestLoss),
      ("largestGradientNorm", largestGradientNorm),
    ]
    if let (name, _) = limits.first(where: { !($0.1 >= 0) }) {
      return "\(name) must not be negative"
    }
    if !(0...100).contains(weightDecay) { return "weightDecay must be 0 to 100" }
    if !(0..<1).contains(dropout ?? 0) { return "dropout must be 0 or more and below 1" }
    return patience > 0 && validationInterval == 0
      ? "patience counts validations; set validationInterval above 0" : nil
  }
}
