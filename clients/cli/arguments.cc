#include "clients/cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <exception>
#include <map>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/flags/credential_flags.h"

namespace bitlm::cli {
namespace {

const std::map<std::string, Format> kFormats = {
    {"text", Format::kText}, {"tsv", Format::kTsv}, {"json", Format::kJson}};
const std::map<std::string, client::OovPolicy> kOovPolicies = {
    {"unk", client::OovPolicy::kUnknownWord},
    {"fixed", client::OovPolicy::kFixed},
    {"offset", client::OovPolicy::kOffset}};

// An option with named values; `value` keeps its default unless the option is given.
template <typename T>
void AddChoice(CLI::App* app, const std::string& name, T& value,
               const std::map<std::string, T>& choices, const std::string& description) {
  app->add_option_function<std::string>(
         name, [&value, &choices](const std::string& choice) { value = choices.at(choice); },
         description)
      ->check(CLI::IsMember(choices));
}

void AddFormat(CLI::App* app, Format& format) {
  AddChoice(app, "--format", format, kFormats, "text (default), tsv, or json: one object a line");
}

void AddBase(CLI::App* app, std::string& base) {
  app->add_option("--base", base, "Base of logarithms: e, 10 or 2")
      ->check(CLI::IsMember({"e", "10", "2"}))
      ->capture_default_str();
}

template <typename Options>
void AddSelfNormalized(CLI::App* app, Options& options) {
  app->add_flag("--self-normalized", options.self_normalized,
                "Logits without the sum over the vocabulary, for models trained for it");
}

template <typename Options>
void AddModel(CLI::App* app, Options& options) {
  app->add_option("--model", options.model, "Name of the model; default: the server's only one");
  app->add_option("--model-version", options.model_version, "Version; 0: what --model-label says")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--model-label", options.model_label,
                  "Label of the version, as latest (default) or stable")
      ->excludes("--model-version");
}

CLI::App* AddScore(CLI::App& app, ScoreArguments& score, bool& no_begin, bool& no_end,
                   bool& no_header) {
  CLI::App* command = app.add_subcommand("score", "Log-probabilities of sentences");
  command->add_option("sentence", score.sentences,
                      "Sentences; without any, lines of --file. After -- they may start with -");
  command->add_option("--file", score.file, "Sentences, one a line; -: standard input")
      ->capture_default_str();
  AddFormat(command, score.format);
  AddBase(command, score.base);
  command->add_flag("--words", score.options.words, "Also the score of every word");
  command->add_flag("--totals-only", score.totals_only, "Only the totals, on standard output");
  command->add_flag("--no-header", no_header, "TSV without the header line");
  command->add_flag("--no-begin", no_begin, "The first word is context and is not scored");
  command->add_flag("--no-end", no_end, "The end of the sentence is not scored");
  AddChoice(command, "--oov-policy", score.options.oov_policy, kOovPolicies,
            "Words out of vocabulary: unk (as <unk>, default), fixed (--oov-logprob), or offset "
            "(<unk> plus --oov-logprob)");
  command->add_option("--oov-logprob", score.options.oov_logprob, "Nats, for --oov-policy");
  AddSelfNormalized(command, score.options);
  AddModel(command, score.options);
  command->add_option("--batch-size", score.batch_size, "Sentences per request")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  return command;
}

CLI::App* AddNext(CLI::App& app, NextArguments& next, bool& no_end) {
  CLI::App* command = app.add_subcommand("next", "Most probable next words");
  command->add_option("context", next.context, "The sentence so far; none: its start");
  command->add_option("-k,--top-k", next.options.top_k, "Number of words")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--candidate", next.options.candidates,
                   "A word to choose from, once for each; </s>: the end of the sentence. Without "
                   "--top-k all are ranked")
      ->allow_extra_args(false);
  command
      ->add_option("--prefix", next.options.prefix,
                   "The beginning of the next word: only words that start with it")
      ->excludes("--candidate");
  command->add_flag("--allow-unknown", next.options.allow_unknown,
                    "<unk> may be an answer, and so may candidates out of vocabulary");
  command->add_flag("--no-end", no_end, "</s>, the end of the sentence, may not");
  AddSelfNormalized(command, next.options);
  AddFormat(command, next.format);
  AddBase(command, next.base);
  AddModel(command, next.options);
  return command;
}

CLI::App* AddAdmin(CLI::App& app, AdminArguments& admin) {
  CLI::App* command = app.add_subcommand("admin", "What operators do: models, draining, logging");
  command->require_subcommand(1);
  command->fallthrough();
  command->add_option("--admin-server", admin.target, "HOST:PORT of the server's admin service")
      ->envname("BITLM_ADMIN_SERVER")
      ->capture_default_str();
  const auto add = [&](const char* name, AdminCommand value, const char* description) {
    return command->add_subcommand(name, description)->callback([&admin, value] {
      admin.command = value;
    });
  };
  for (CLI::App* sub : {add("load", AdminCommand::kLoad, "Load a model, or what has changed of it"),
                        add("unload", AdminCommand::kUnload, "Take a model out of service")}) {
    sub->add_option("model", admin.model, "Name of the model")->required();
    sub->add_option("--model-version", admin.model_version, "Version; 0: latest, or all to unload")
        ->check(CLI::NonNegativeNumber);
  }
  add("reload", AdminCommand::kReload, "Look at the repository now");
  add("drain", AdminCommand::kDrain, "Turn requests away, end those that have begun");
  add("resume", AdminCommand::kResume, "Take requests again");
  add("log-level", AdminCommand::kLogLevel, "Set what is logged")
      ->add_option("level", admin.log_level, "debug, info, warning or error")
      ->required();
  return command;
}

// CLI11 reads values such as "[a, b]", "{}" and "%%" of options with several values as lists of its
// own. A mark in front of what begins like one makes it a plain value; Unmask takes it away again.
constexpr char kMask = '\x01';

std::string MaskValue(const std::string& value) {
  const bool special =
      !value.empty() && std::string_view("[{%").find(value[0]) != std::string_view::npos;
  return special || value.starts_with(kMask) ? kMask + value : value;
}

std::vector<std::string> Mask(const std::vector<std::string>& args) {
  std::vector<std::string> masked;
  bool only_values = false;  // After "--".
  for (const std::string& arg : args) {
    const size_t equals = arg.find('=');
    if (!only_values && arg.starts_with("--") && equals != std::string::npos) {
      masked.push_back(arg.substr(0, equals + 1) + MaskValue(arg.substr(equals + 1)));
    } else {
      masked.push_back(MaskValue(arg));
    }
    only_values = only_values || arg == "--";
  }
  return masked;
}

void Unmask(std::string& value) {
  if (value.starts_with(kMask)) value.erase(0, 1);
}

void Unmask(Arguments& arguments) {
  for (std::string& sentence : arguments.score.sentences) Unmask(sentence);
  for (std::string& word : arguments.next.context) Unmask(word);
  for (std::string& word : arguments.next.options.candidates) Unmask(word);
  if (arguments.next.options.prefix) Unmask(*arguments.next.options.prefix);
  for (std::string* value :
       {&arguments.score.file, &arguments.score.options.model, &arguments.score.options.model_label,
        &arguments.next.options.model, &arguments.next.options.model_label, &arguments.admin.target,
        &arguments.admin.model, &arguments.admin.log_level,
        &arguments.connection.options.credentials.ca_file,
        &arguments.connection.options.credentials.certificate_file,
        &arguments.connection.options.credentials.key_file, &arguments.connection.options.target}) {
    Unmask(*value);
  }
}

std::string WithoutMasks(std::string message) {
  std::erase(message, kMask);
  return message;
}

}  // namespace

absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& args) {
  Arguments result;
  CLI::App app(
      "Asks a bitlm-server for probabilities of text.\n"
      "Examples: bitlm score \"the cat sat on the mat\"; bitlm score --file text.txt;\n"
      "          bitlm next the cat sat on",
      "bitlm");
  app.set_version_flag("--version", "bitlm " BITLM_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // --server may stand after the command.
  double timeout_seconds = absl::ToDoubleSeconds(result.connection.options.timeout);
  app.add_option("--server", result.connection.options.target, "HOST:PORT of the server")
      ->envname("BITLM_SERVER")
      ->capture_default_str();
  app.add_option("--timeout-seconds", timeout_seconds, "Of each request")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();

  client::Credentials& credentials = result.connection.options.credentials;
  client::AddCredentialFlags(&app, &credentials);

  bool score_no_begin = false, score_no_end = false, next_no_end = false, no_header = false;
  CLI::App* score = AddScore(app, result.score, score_no_begin, score_no_end, no_header);
  CLI::App* next = AddNext(app, result.next, next_no_end);
  CLI::App* models = app.add_subcommand("models", "The server's models");
  AddFormat(models, result.models.format);
  CLI::App* admin = AddAdmin(app, result.admin);

  try {
    std::vector<std::string> masked = Mask(args);
    std::reverse(masked.begin(), masked.end());  // CLI11 takes the last first.
    app.parse(std::move(masked));
  } catch (const CLI::CallForHelp&) {
    result.output = app.help();
    return result;
  } catch (const CLI::CallForVersion& version) {
    result.output = absl::StrCat(version.what(), "\n");
    return result;
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(WithoutMasks(error.what()));
  }
  Unmask(result);
  if (!result.score.sentences.empty() && score->count("--file") > 0) {
    return absl::InvalidArgumentError("sentences and --file exclude each other");
  }
  result.connection.options.timeout = absl::Seconds(timeout_seconds);
  client::CompleteCredentials(&credentials);
  result.score.options.begin_of_sentence = !score_no_begin;
  result.score.options.end_of_sentence = !score_no_end;
  result.score.header = !no_header;
  result.next.options.allow_end_of_sentence = !next_no_end;
  if (!result.next.options.candidates.empty() && next->count("--top-k") == 0) {
    result.next.options.top_k = 0;
  }
  result.command = score->parsed()   ? Command::kScore
                   : next->parsed()  ? Command::kNext
                   : admin->parsed() ? Command::kAdmin
                                     : Command::kModels;
  return result;
}

double LogarithmFactor(const std::string& base) {
  return base == "e" ? 1.0 : 1.0 / std::log(std::stod(base));
}

absl::Status Explain(const absl::Status& status) {
  if (!absl::IsUnavailable(status)) return status;
  return absl::UnavailableError(
      absl::StrCat(status.message(),
                   "\nIs bitlm-server running? Start it, or name another with --server "
                   "HOST:PORT or BITLM_SERVER."));
}

}  // namespace bitlm::cli
