#include "nagl/nn/attention.h"

#include <cmath>
#include <set>

#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;

at::Tensor row_of(std::vector<float> values) { return torch::tensor(values); }

at::Tensor one_batch(std::vector<std::vector<float>> rows) {
  std::vector<at::Tensor> stacked;
  for (const auto& row : rows) stacked.push_back(row_of(row));
  return at::stack(stacked).unsqueeze(0);
}

/// Projections that leave everything as it is.
MultiheadAttention identity_attention(std::int64_t width, std::int64_t heads) {
  MultiheadAttention attention(width, heads);
  const at::NoGradGuard no_grad;
  for (auto& item : attention->named_parameters()) {
    if (item.value().dim() == 1) {
      item.value().zero_();
    } else {
      item.value().copy_(at::eye(width).repeat({item.value().size(0) / width, 1}));
    }
  }
  return attention;
}

MultiheadAttention random_attention(std::int64_t width, std::int64_t heads) {
  MultiheadAttention attention(width, heads);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(6);
  for (auto& parameter : attention->parameters()) parameter.normal_(0, 0.5, random);
  attention->to(at::kDouble);
  return attention;
}

TEST(MultiheadAttention, TwoQueriesAndTwoKeysByHand) {
  auto attention = identity_attention(2, 1);
  // Logits are dot products with the keys (1, 0) and (0, 1), divided by sqrt 2:
  // (sqrt 2 ln 3, 0) gives ln 3 and 0, so weights 3/4 and 1/4; (1, 1) gives 1/2 and 1/2.
  const float logit = std::sqrt(2.0F) * std::log(3.0F);
  const auto query = one_batch({{logit, 0}, {1, 1}});
  const auto key = one_batch({{1, 0}, {0, 1}}), value = one_batch({{8, 0}, {0, 4}});
  EXPECT_LT(max_difference(attention->forward(query, key, value), one_batch({{6, 1}, {4, 2}})),
            1e-5);

  const at::NoGradGuard no_grad;
  auto parameters = attention->named_parameters();
  parameters["out_proj.weight"].mul_(2);
  parameters["out_proj.bias"].copy_(row_of({-1, 1}));
  EXPECT_LT(max_difference(attention->forward(query, key, value), one_batch({{11, 3}, {7, 5}})),
            1e-5);
  // The values' bias is added to every value; the keys' one to every logit alike, which is nothing.
  parameters["in_proj_bias"].copy_(row_of({0, 0, 70, -90, 1, 2}));
  EXPECT_LT(max_difference(attention->forward(query, key, value), one_batch({{13, 7}, {9, 9}})),
            1e-4);
  // The queries' one turns (1, 1) into (1 + sqrt 2 ln 3, 1), which has the weights 3/4 and 1/4.
  parameters["in_proj_bias"].copy_(row_of({logit, 0, 0, 0, 0, 0}));
  EXPECT_LT(max_difference(attention->forward(query, key, value)[0][1], row_of({11, 3})), 1e-5);
}

TEST(MultiheadAttention, EachHeadHasItsOwnWeights) {
  auto attention = identity_attention(2, 2);
  // One channel a head: logits of head 0 are ln 3 and 0, of head 1 they are 0 and 0.
  const auto query = one_batch({{std::log(3.0F), 0}});
  const auto key = one_batch({{1, 5}, {0, 9}}), value = one_batch({{8, 2}, {4, 6}});
  EXPECT_LT(max_difference(attention->forward(query, key, value), one_batch({{7, 4}})), 1e-5);
}

TEST(MultiheadAttention, MaskedTokensHaveNoWeight) {
  auto attention = identity_attention(2, 1);
  const auto query = one_batch({{std::sqrt(2.0F) * std::log(3.0F), 0}});
  const auto key = one_batch({{1, 0}, {1e4, 0}, {0, 1}});
  const auto value = one_batch({{8, 0}, {1e6, 1e6}, {0, 4}});
  const auto allowed = torch::tensor({{true, false, true}});
  const auto mask = attention_mask(allowed, at::kFloat);
  EXPECT_TRUE(mask.equal(row_of({0, -1e9, 0}).unsqueeze(0)));
  const auto found = attention->forward(query, key, value, mask);
  EXPECT_LT(max_difference(found, one_batch({{6, 1}})), 1e-5);
  const auto kept = torch::tensor({std::int64_t{0}, std::int64_t{2}});
  EXPECT_LT(max_difference(found, attention->forward(query, key.index_select(1, kept),
                                                     value.index_select(1, kept))),
            1e-6);
  // Exactly no weight: whatever finite value stands there gives the same bits.
  EXPECT_TRUE(found.equal(
      attention->forward(query, key, value.neg() + 2 * value * allowed.unsqueeze(2), mask)));
}

TEST(MultiheadAttention, NothingAllowedIsFinite) {
  auto attention = random_attention(4, 2);
  const auto random = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto query = torch::randn({2, 3, 4}, random, at::kDouble).requires_grad_(true);
  const auto tokens = torch::randn({2, 5, 4}, random, at::kDouble);
  auto allowed = at::ones({2, 5}, at::kBool);
  allowed[1].fill_(false);
  const auto found =
      attention->forward(query, tokens, tokens, attention_mask(allowed, at::kDouble));
  found.sum().backward();
  EXPECT_TRUE(at::isfinite(found).all().item<bool>());
  EXPECT_TRUE(at::isfinite(query.grad()).all().item<bool>());
  // -1e9 for all is the same constant for all, so that nothing masked counts like nothing unmasked.
  const auto without = attention->forward(query, tokens, tokens);
  EXPECT_LT(max_difference(found, without), 1e-5);  // 1e9 leaves 1e-7 of a logit
}

/// The textbook's form (Vaswani et al., 2017): project everything, split it into heads, attend,
/// join, project.
at::Tensor textbook(const MultiheadAttention& attention, std::int64_t heads,
                    const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                    const at::Tensor& mask) {
  const auto parameters = attention->named_parameters();
  const auto weights = parameters["in_proj_weight"].chunk(3);
  const auto biases = parameters["in_proj_bias"].chunk(3);
  const std::int64_t depth = query.size(2) / heads;
  std::vector<at::Tensor> outputs;
  for (std::int64_t head = 0; head < heads; ++head) {
    const auto project = [&](const at::Tensor& tokens, std::size_t which) {
      return (at::matmul(tokens, weights[which].t()) + biases[which])
          .slice(2, head * depth, (head + 1) * depth);
    };
    auto logits = at::matmul(project(query, 0), project(key, 1).transpose(1, 2)) /
                  std::sqrt(static_cast<double>(depth));
    if (mask.defined()) logits = logits + mask.unsqueeze(1);
    outputs.push_back(at::matmul(logits.softmax(2), project(value, 2)));
  }
  return at::matmul(at::cat(outputs, 2), parameters["out_proj.weight"].t()) +
         parameters["out_proj.bias"];
}

TEST(MultiheadAttention, EqualsTheTextbook) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(2);
  const auto query = torch::randn({3, 5, 8}, random, at::kDouble);
  const auto key = torch::randn({3, 7, 8}, random, at::kDouble);
  const auto value = torch::randn({3, 7, 8}, random, at::kDouble);
  auto allowed = torch::rand({3, 7}, random).lt(0.5);
  allowed.select(1, 3).fill_(true);
  for (const std::int64_t heads : {1, 2, 4}) {
    auto attention = random_attention(8, heads);
    for (const auto& mask : {at::Tensor(), attention_mask(allowed, at::kDouble)}) {
      const auto gradients = [&](const at::Tensor& output) {
        attention->zero_grad();
        output.square().sum().backward();
        std::vector<at::Tensor> all;
        for (const auto& parameter : attention->parameters()) {
          all.push_back(parameter.grad().flatten().clone());
        }
        return at::cat(all);
      };
      const auto found = attention->forward(query, key, value, mask);
      const auto expected = textbook(attention, heads, query, key, value, mask);
      EXPECT_LT(max_difference(found, expected), 1e-12) << heads;
      EXPECT_LT(max_difference(gradients(found), gradients(expected)), 1e-9) << heads;
    }
  }
}

TEST(MultiheadAttention, HeadsMustDivideTheWidth) {
  EXPECT_THROW(MultiheadAttention(8, 3), std::invalid_argument);
  EXPECT_THROW(MultiheadAttention(8, 0), std::invalid_argument);
  EXPECT_THROW(MultiheadAttention(0, 1), std::invalid_argument);
  EXPECT_THROW(CrossAttention(6, 4), std::invalid_argument);
  EXPECT_THROW(SelfAttention(6, 4), std::invalid_argument);
  EXPECT_NO_THROW(MultiheadAttention(6, 6));
}

TEST(MultiheadAttention, InitialisesAsPublished) {
  constexpr std::int64_t kWidth = 24;
  auto attention = random_attention(kWidth, 3);
  attention->to(at::kFloat);
  attention->initialize(at::make_generator<at::CPUGeneratorImpl>(8));
  auto parameters = attention->named_parameters();
  EXPECT_EQ(parameters["in_proj_bias"].abs().max().item<float>(), 0);
  EXPECT_EQ(parameters["out_proj.bias"].abs().max().item<float>(), 0);
  // Xavier uniform: sqrt(6 / (rows + columns)), the input projection as one [3C, C] matrix.
  const auto expect_uniform = [&](const std::string& name, double bound) {
    const auto& weight = parameters[name];
    EXPECT_LE(weight.abs().max().item<double>(), bound) << name;
    EXPECT_GT(weight.max().item<double>(), 0.95 * bound) << name;
    EXPECT_LT(weight.min().item<double>(), -0.95 * bound) << name;
    EXPECT_NEAR(weight.std().item<double>(), bound / std::sqrt(3.0), 0.05 * bound) << name;
  };
  expect_uniform("in_proj_weight", std::sqrt(6.0 / (4 * kWidth)));
  expect_uniform("out_proj.weight", std::sqrt(6.0 / (2 * kWidth)));
}

std::set<std::string> names_of(const torch::nn::Module& module) {
  std::set<std::string> names;
  for (const auto& item : module.named_parameters()) names.insert(item.key());
  return names;
}

TEST(Attention, NamesAreThePublishedOnes) {
  const auto expected = [](const std::string& attention) {
    return std::set<std::string>{attention + ".in_proj_weight",
                                 attention + ".in_proj_bias",
                                 attention + ".out_proj.weight",
                                 attention + ".out_proj.bias",
                                 "norm.weight",
                                 "norm.bias"};
  };
  EXPECT_EQ(names_of(*CrossAttention(4, 2)), expected("multihead_attn"));
  EXPECT_EQ(names_of(*SelfAttention(4, 2)), expected("self_attn"));
}

TEST(Attention, IsAddedAndNormed) {
  // With zero projections out of the attention only the input is left. Normed, (1, 3) is (-1, 1)
  // and (2, 2) is (0, 0); then times the weight (2, 3) plus the bias (10, 20).
  const auto input = one_batch({{1, 3}, {2, 2}});
  const auto expected = one_batch({{8, 23}, {10, 20}});
  const auto prepare = [](torch::nn::Module& module) {
    const at::NoGradGuard no_grad;
    for (auto& item : module.named_parameters()) item.value().zero_();
    module.named_parameters()["norm.weight"].copy_(row_of({2, 3}));
    module.named_parameters()["norm.bias"].copy_(row_of({10, 20}));
  };
  const at::NoGradGuard no_grad;
  CrossAttention cross(2, 1);
  prepare(*cross);
  const auto others = one_batch({{7, 8}, {9, -1}, {3, 3}});
  EXPECT_LT(max_difference(cross->forward(input, others, others), expected), 1e-4);
  SelfAttention self(2, 1);
  prepare(*self);
  EXPECT_LT(max_difference(self->forward(input), expected), 1e-4);
  // What the attention gives comes before the norm: with a bias of (0, 2) the input is (1, 5) and
  // (2, 4), normed (-1, 1) both.
  self->named_parameters()["self_attn.out_proj.bias"].copy_(row_of({0, 2}));
  EXPECT_LT(max_difference(self->forward(input), one_batch({{8, 23}, {8, 23}})), 1e-4);
}

TEST(SelfAttention, TakesTheTokensAsQueryKeyAndValue) {
  SelfAttention self(4, 2);
  CrossAttention cross(4, 2);
  const at::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(3);
  auto from = self->parameters(), to = cross->parameters();
  for (std::size_t i = 0; i < from.size(); ++i) {
    from[i].normal_(0, 1, random);
    to[i].copy_(from[i]);
  }
  const auto tokens = torch::randn({2, 3, 4}, random);
  EXPECT_TRUE(self->forward(tokens).equal(cross->forward(tokens, tokens, tokens)));
}

}  // namespace
}  // namespace nagl
