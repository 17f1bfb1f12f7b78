import Foundation
import GLENIndex
import GLENModel
import GLENTensor
import Testing

@testable import GLENTraining

/// Every number of every golden case, within the tolerances of Tests/Parity/README.md.
@Suite("Parity with PyTorch") struct ParityTests {
  @Test("cases are found") func casesAreFound() {
    #expect(ParityCase.fixtures.count >= 3)
    // A folder that is named and holds none must not pass as if its cases had.
    #expect(ParityCase.further?.isEmpty != true)
  }

  @Test("states and logits", arguments: ParityCase.all)
  func states(_ parity: ParityCase) throws {
    let (model, settings) = (try parity.model(), try parity.settings())
    let expected = try parity.file("expected.safetensors")
    let queries = try parity.sequences("query")
    let width = model.configuration.width
    let batch = try TokenBatch(queries, vocabularySize: model.configuration.vocabularySize)

    // The golden states are padded; ours are packed.
    let golden = try expected.tensor("encoder_last_hidden_state")
    let values = try golden.values()
    let longest = golden.shape[1]
    let real = queries.enumerated().flatMap { index, query in
      values[(index * longest) * width..<(index * longest + query.count) * width]
    }
    #expect(relativeDifference(try model.encode(batch).values(), real) < 1e-4)

    let states = try model.rollout(batch, steps: settings.identifier_length)
    #expect(
      relativeDifference(
        try states.values(), try expected.tensor("decoder_states").values()) < 1e-4)
    #expect(
      relativeDifference(
        try model.logits(states).values(), try expected.tensor("logits").values()) < 1e-4)
  }

  /// Of the fixtures alone: how far rounding goes depends on the weights, so further cases have no bound.
  @Test("states of rounded weights", arguments: ParityCase.fixtures)
  func statesInLowPrecision(_ parity: ParityCase) throws {
    let (model, settings) = (try parity.model(), try parity.settings())
    let batch = try TokenBatch(
      parity.sequences("query"), vocabularySize: model.configuration.vocabularySize)
    let golden = try parity.file("expected.safetensors").tensor("decoder_states").values()
    for (precision, tolerance) in [(LowPrecision.bf16, Float(0.02)), (.int8, 0.08)] {
      let states = try model.quantized(to: precision).rollout(
        batch, steps: settings.identifier_length)
      let difference = try relativeDifference(states.values(), golden)
      #expect(difference < tolerance && difference > 1e-5, "\(precision): \(difference)")
    }
  }

  #if canImport(Glibc)
    // The variable counts when the first loop runs: in processes of their own. Where the machine lacks
    // a set, the next narrower one is tested again; that of AVX-512 has VNNI for int8 and BF16 for bf16.
    @Test func everythingOnAVX512() async {
      await #expect(processExitsWith: .success) { try Self.requireParity(onlyUsing: "avx512") }
    }

    @Test func everythingOnAVX2() async {
      await #expect(processExitsWith: .success) { try Self.requireParity(onlyUsing: "avx2") }
    }

    @Test func everythingWithoutVectorInstructions() async {
      await #expect(processExitsWith: .success) { try Self.requireParity(onlyUsing: "portable") }
    }

    private static func requireParity(onlyUsing kernels: String) throws {
      setenv("GLEN_CPU_KERNELS", kernels, 1)
      try #require(CPUBackend.shared.instructionSet.rawValue == kernels)
      for parity in ParityCase.all {
        try ParityTests().states(parity)
        try ParityTests().keywordLoss(parity)
        try ParityTests().refinementLoss(parity)
      }
      for parity in ParityCase.fixtures { try ParityTests().statesInLowPrecision(parity) }
    }
  #endif

  @Test("keyword loss and all its gradients", arguments: ParityCase.all)
  func keywordLoss(_ parity: ParityCase) throws {
    let model = try parity.model()
    let expected = try parity.file("expected.safetensors")
    let (labels, shape) = try parity.file("inputs.safetensors").integers("keyword_labels")
    let targets = (0..<shape[0]).map { Array(labels[$0 * shape[1]..<($0 + 1) * shape[1]]) }
    let batch = try TokenBatch(
      parity.sequences("query"), vocabularySize: model.configuration.vocabularySize)
    let (loss, gradients) = try valueAndGradient(of: model) {
      try KeywordLoss.value($0, batch, targets: targets)
    }
    let golden = try expected.tensor("keyword_loss").scalar()
    #expect(abs(try loss.scalar() - golden) <= 1e-5 * abs(golden))
    try expectGradients(gradients, of: model, expected, prefix: "keyword_grad.")
  }

  @Test("refinement losses and all their gradients", arguments: ParityCase.all)
  func refinementLoss(_ parity: ParityCase) throws {
    let (model, settings) = (try parity.model(), try parity.settings())
    let expected = try parity.file("expected.safetensors")
    var refinement = RefinementLoss()
    refinement.pointwiseWeight = settings.lambda_point
    refinement.distanceWeight = settings.lambda_dist
    refinement.temperature = settings.temperature
    let identifiers = IdentifierSettings(
      identifierLength: settings.identifier_length, maskedTokens: settings.masked_token_ids)
    let mask = try identifiers.mask(
      vocabularySize: model.configuration.vocabularySize, on: model.backend)
    let (queries, documents) = (try parity.sequences("query"), try parity.sequences("document"))
    var found: RefinementLoss.Parts?
    let (loss, gradients) = try valueAndGradient(of: model) { model in
      let parts = try refinement.parts(
        model, queries: queries, documents: documents, settings: identifiers, mask: mask)
      found = parts
      return parts.total
    }
    let parts = try #require(found)
    for (name, value) in [
      ("refine_loss", loss), ("refine_pair", parts.pairwise), ("refine_ce", parts.retrieval),
      ("refine_dist", parts.distance),
    ] {
      let golden = try expected.tensor(name).scalar()
      let got = try value.scalar()
      #expect(abs(got - golden) <= max(1e-5 * abs(golden), 1e-7), "\(name): \(got), not \(golden)")
    }
    #expect(
      relativeDifference(
        try parts.relevances.values(), try expected.tensor("refine_scores").values()) < 1e-4)
    let n = settings.identifier_length
    let each = settings.documents_per_query
    let targets = (0..<queries.count).flatMap { query in
      parts.identifiers[query * each * n..<(query * each + 1) * n]
    }
    #expect(targets == (try expected.integers("refine_targets").values))
    try expectGradients(gradients, of: model, expected, prefix: "refine_grad.")
  }

  @Test("identifiers of the corpus", arguments: ParityCase.all)
  func identifiers(_ parity: ParityCase) throws {
    let (model, settings) = (try parity.model(), try parity.settings())
    let expected = try parity.file("expected.safetensors")
    let size = model.configuration.vocabularySize
    let batch = try TokenBatch(parity.sequences("corpus"), vocabularySize: size)
    let mask = try IdentifierSettings(maskedTokens: settings.masked_token_ids).mask(
      vocabularySize: size, on: model.backend)
    let states = try model.rollout(batch, steps: settings.identifier_length)
    let (tokens, weights) = try model.identifiers(states, mask: mask)
    let logits = try model.logits(states).values()
    let golden = try expected.integers("corpus_identifiers").values
    for (index, (got, wanted)) in zip(try tokens.values(), golden).enumerated() where got != wanted
    {
      // Two best logits this close may change places.
      let (a, b) = (logits[index * size + Int(got)], logits[index * size + Int(wanted)])
      #expect(abs(a - b) < 1e-5, "position \(index): token \(got), not \(wanted)")
    }
    #expect(
      relativeDifference(
        try weights.values(), try expected.tensor("corpus_identifier_logits").values()) < 1e-4)
  }

  @Test("exact ranking with collisions", arguments: ParityCase.all)
  func ranking(_ parity: ParityCase) throws {
    let (model, settings) = (try parity.model(), try parity.settings())
    let expected = try parity.file("expected.safetensors")
    let size = model.configuration.vocabularySize
    let n = settings.identifier_length
    let (table, order) = try IdentifierTable.sorting(
      identifiers: expected.integers("ranking_identifiers").values,
      weights: expected.tensor("ranking_identifier_logits").values(), identifierLength: n,
      vocabularySize: size)
    let batch = try TokenBatch(parity.sequences("query"), vocabularySize: size)
    let mask = try IdentifierSettings(maskedTokens: settings.masked_token_ids).mask(
      vocabularySize: size, on: model.backend
    ).values()
    let logits = try model.logits(model.rollout(batch, steps: n)).values()
    let golden = try expected.integers("ranking_documents")
    let scores = try expected.tensor("ranking_log_probability").values()
    let cosines = try expected.tensor("ranking_cosine").values()
    let depth = golden.shape[1]
    for query in 0..<batch.count {
      let own = logits[query * n * size..<(query + 1) * n * size]
      let masked = own.enumerated().map { $1 + mask[$0 % size] }
      let ranked = try ExactSearch(table: table).rank(
        QueryScores(logits: masked, identifierLength: n, vocabularySize: size), limit: depth)
      #expect(ranked.count == depth)
      for (place, hit) in ranked.enumerated() {
        let index = query * depth + place
        let document = order[hit.document]
        #expect(abs(hit.score - scores[index]) < 1e-4 * max(1, abs(scores[index])))
        #expect(abs(hit.similarity - cosines[index]) < 1e-4)
        if document != Int(golden.values[index]) {
          // Documents may change places only where score and cosine are as good as equal.
          let other = (query * depth..<(query + 1) * depth).first {
            Int(golden.values[$0]) == document
          }
          let place = try #require(other, "document \(document) is not in the golden ranking")
          #expect(
            abs(scores[place] - scores[index]) < 1e-4
              && abs(cosines[place] - cosines[index]) < 1e-4,
            "query \(query): document \(document), not \(golden.values[index])")
        }
      }
    }
  }

  /// Every parameter's gradient within 1e-3 of the greatest magnitude; one that is missing on
  /// either side counts as zero.
  private func expectGradients(
    _ gradients: Gradients, of model: T5Model, _ expected: SafetensorsFile, prefix: String
  ) throws {
    for (name, parameter) in model.parameters {
      let zeros = [Float](repeating: 0, count: parameter.count)
      let golden =
        expected.shape(of: prefix + name) == nil
        ? zeros : try expected.tensor(prefix + name).values()
      let got = try gradients[name]?.values() ?? zeros
      let difference = relativeDifference(got, golden)
      let isTiny = (zip(got, golden).map { abs($0 - $1) }.max() ?? 0) < 1e-7
      #expect(difference < 1e-3 || isTiny, "\(prefix)\(name): off by \(difference)")
    }
  }
}
