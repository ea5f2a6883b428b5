package config

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"wadm/config/spelling"
)

// foreign matches WADM_ variables that belong to others: wash reads some, and
// Kubernetes sets the rest in every container next to a service named wadm or wadm-….
var foreign = regexp.MustCompile(`^WADM_(VERSION|JS_DOMAIN|MANIFEST|PORT|PORT_.*|SERVICE_.*|.*_SERVICE_(HOST|PORT)(_.*)?|.*_PORT(_[0-9]+_(TCP|UDP).*)?)$`)

// fileSuffix makes the variable that names a file with a secret.
const fileSuffix = "_FILE"

// Variables gives the variables of environ ("NAME=value" each) by name; of several
// with one name the last counts.
func Variables(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// readVariables finds the values of options.
func readVariables(vars map[string]string, options []Option) (layer, []Warning, []problem) {
	values := layer{}
	var problems []problem
	known := map[string]bool{}
	for _, o := range options {
		known[o.Env] = true
		text, given := vars[o.Env]
		origin := "variable " + o.Env
		if o.Secret {
			name := o.Env + fileSuffix
			known[name] = true
			if path, ok := vars[name]; ok && path != "" {
				if given {
					problems = append(problems, problem{text: fmt.Sprintf("variables %s and %s: give one or the other", o.Env, name)})
					continue
				}
				data, err := os.ReadFile(path)
				if err != nil {
					problems = append(problems, problem{text: fmt.Sprintf("variable %s: %v", name, err)})
					continue
				}
				text, given, origin = strings.TrimSpace(string(data)), true, "variable "+name
			}
		}
		if !given {
			continue
		}
		v, err := o.parse(text)
		if err != nil {
			problems = append(problems, problem{text: origin + ": " + err.Error()})
			continue
		}
		values[o.Long] = v
	}
	return values, unknownVariables(vars, known), problems
}

// unknownVariables warns of names that look like ours and are not: a typing
// mistake in a variable otherwise goes unnoticed.
func unknownVariables(vars map[string]string, known map[string]bool) []Warning {
	var names, candidates []string
	for name := range known {
		if name != "" {
			candidates = append(candidates, name)
		}
	}
	slices.Sort(candidates)
	for name := range vars {
		if strings.HasPrefix(name, "WADM_") && !known[name] && !foreign.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var warnings []Warning
	for _, name := range names {
		near, _ := spelling.Nearest(name, candidates, false)
		warnings = append(warnings, Warning{name, fmt.Sprintf("unknown variable, ignored; the nearest known one is %s", near)})
	}
	return warnings
}

// rustLogLevel reads a log level from upstream's RUST_LOG, which is a list of
// levels, alone or for a module. What names our level is taken, the rest means nothing here.
func rustLogLevel(vars map[string]string) (level string, warnings []Warning) {
	const name = "RUST_LOG"
	value := vars[name]
	if strings.TrimSpace(value) == "" {
		return "", nil
	}
	levels := map[string]string{"trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "error": "error", "off": "error"}
	general, own := "", ""
	for directive := range strings.SplitSeq(value, ",") {
		module, word, scoped := strings.Cut(strings.TrimSpace(directive), "=")
		switch {
		case !scoped:
			if l, ok := levels[strings.ToLower(module)]; ok {
				general = l
			}
		case module == "wadm":
			if l, ok := levels[strings.ToLower(word)]; ok {
				own = l
			}
		}
	}
	if own != "" {
		return own, nil
	}
	if general == "" {
		warnings = append(warnings, Warning{name, "names no log level for wadm, ignored; use WADM_LOG_LEVEL"})
	}
	return general, warnings
}
