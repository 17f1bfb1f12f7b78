/// What a row of the paper's ablations leaves out, or does differently (Tables 5, 6 and 8).
public enum Ablation: String, Sendable, Codable, CaseIterable {
  /// Nothing: the recipe as it is.
  case full
  /// Phase 1 makes no update: identifiers begin as the network's own.
  case noKeywords = "no-keywords"
  /// The temperature is at its lowest throughout.
  case noAnnealing = "no-annealing"
  /// Steps are fed tokens instead of states, in both phases and in search.
  case tokensFedBack = "tokens-fed-back"
  /// Phase 2 without the pairwise ranking loss.
  case noPairwise = "no-pairwise"
  /// Phase 2 without the pointwise retrieval loss.
  case noPointwise = "no-pointwise"
  /// Negatives are drawn at random.
  case randomNegatives = "random-negatives"
  /// Phase 2 makes no update.
  case noRefinement = "no-refinement"
  /// The full model, with documents of one identifier in random order.
  case shuffledCollisions = "shuffled-collisions"

  /// The recipe of a run with this ablation.
  public func recipe(from base: Recipe) -> Recipe {
    var recipe = base
    switch self {
    case .full, .shuffledCollisions: break
    case .noKeywords: recipe.keywords.optimization.steps = 0
    case .noAnnealing: recipe.refinement.anneals = false
    case .tokensFedBack: recipe.feedsTokens = true
    case .noPairwise: recipe.refinement.hasPairwise = false
    case .noPointwise: recipe.refinement.pointwiseWeight = 0
    case .randomNegatives: recipe.refinement.usesPrefixNegatives = false
    case .noRefinement: recipe.refinement.optimization.steps = 0
    }
    return recipe
  }
}
