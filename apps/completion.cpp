#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>
#include <set>

#include "commands.h"

namespace nagl::apps {
namespace {

std::vector<std::string> subcommands_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* inner : command.get_subcommands({})) names.push_back(inner->get_name());
  return names;
}

/// The long names of a command's own options.
std::vector<std::string> own_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

/// The same; of a command that has commands of its own, theirs, each once.
std::vector<std::string> options_of(const CLI::App& command) {
  const auto inner = command.get_subcommands({});
  if (inner.empty()) return own_options(command);
  std::set<std::string> names;
  for (const auto* each : inner) {
    for (auto& name : own_options(*each)) names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

/// Values are completed as file names, which is bash's default.
void print_bash(const CLI::App& app) {
  std::string cases, commands;
  for (const auto* command : app.get_subcommands({})) {
    commands += command->get_name() + " ";
    cases +=
        fmt::format("    {}) words=\"{}\" inner=\"{}\" ;;\n", command->get_name(),
                    fmt::join(options_of(*command), " "), fmt::join(subcommands_of(*command), " "));
  }
  fmt::print(std::cout, R"sh(_nagl() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words inner
  case "${{COMP_WORDS[1]}}" in
{}    *) words="{}{}" ;;
  esac
  if [ "$COMP_CWORD" -eq 2 ] && [ -n "$inner" ] && [[ "$word" != -* ]]; then
    COMPREPLY=($(compgen -W "$inner" -- "$word"))
  elif [ "$COMP_CWORD" -gt 1 ] && [[ "$word" != -* ]]; then
    COMPREPLY=()
  else
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}}
complete -o default -F _nagl nagl
)sh",
             cases, commands, fmt::join(own_options(app), " "));
}

/// Zsh reads what bash does through bashcompinit. The script is sourced, or found as the file
/// _nagl: then it is run when nagl is completed for the first time.
void print_zsh(const CLI::App& app) {
  fmt::print(std::cout, "#compdef nagl\nautoload -U +X bashcompinit && bashcompinit\n");
  print_bash(app);
  fmt::print(std::cout,
             "if [ \"${{funcstack[1]}}\" = _nagl ]; then _bash_complete -o default -F _nagl; fi\n");
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result + "'";
}

void print_fish(const CLI::App& app) {
  for (const auto* command : app.get_subcommands({})) {
    for (const auto& inner : subcommands_of(*command)) {
      fmt::print(std::cout, "complete -c nagl -n '__fish_seen_subcommand_from {}' -f -a {}\n",
                 command->get_name(), inner);
    }
    const std::string text = command->get_description();
    fmt::print(std::cout, "complete -c nagl -n __fish_use_subcommand -f -a {} -d {}\n",
               command->get_name(), quoted(text.substr(0, text.find('\n'))));
    for (const auto* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) {
        fmt::print(std::cout,
                   "complete -c nagl -n '__fish_seen_subcommand_from {}' -l {} -d {}{}\n",
                   command->get_name(), name, quoted(option->get_description()),
                   option->get_items_expected_max() > 0 ? " -r" : "");
      }
    }
  }
}

}  // namespace

void add_completion(CLI::App& app, int&) {
  auto shell = std::make_shared<std::string>();
  auto* command = app.add_subcommand("completion",
                                     "Print a shell's completion script.\n\n"
                                     "  source <(nagl completion bash)\n"
                                     "  source <(nagl completion zsh)\n"
                                     "  nagl completion fish | source\n");
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, &app] {
    if (*shell == "bash") print_bash(app);
    if (*shell == "zsh") print_zsh(app);
    if (*shell == "fish") print_fish(app);
  });
}

}  // namespace nagl::apps
