package config

import (
	"fmt"
	"strings"
)

// Help is the list of options for --help. Hidden options are left out; the
// reference page has them all.
func Help() string {
	var b strings.Builder
	b.WriteString("Options:\n")
	for _, o := range Options() {
		if o.Hidden {
			continue
		}
		fmt.Fprintf(&b, "  %s\n", o.usage())
		for _, line := range wrap(o.Help, 70) {
			fmt.Fprintf(&b, "          %s\n", line)
		}
		var notes []string
		if o.Env != "" {
			notes = append(notes, "[env: "+o.Env+"]")
		}
		if o.Default != "" && o.Kind != KindBool {
			notes = append(notes, "[default: "+o.Default+"]")
		}
		if len(o.Values) > 0 {
			notes = append(notes, "[possible values: "+strings.Join(o.Values, ", ")+"]")
		}
		fmt.Fprintf(&b, "          %s\n", strings.Join(notes, " "))
	}
	b.WriteString("  -h, --help\n          Print this help.\n")
	b.WriteString("  -V, --version\n          Print the version.\n\n")
	b.WriteString("Flags win over variables, variables over the file, the file over defaults.\n")
	b.WriteString("Limits of streams and buckets: see docs/reference/configuration.md.\n")
	return b.String()
}

// usage is how the option is written: "-s, --nats-server <TEXT>".
func (o Option) usage() string {
	s := "    --" + o.Long
	if o.Short != "" {
		s = "-" + o.Short + ", --" + o.Long
	}
	if o.Kind == KindBool {
		return s
	}
	return s + " <" + strings.ToUpper(string(o.Kind)) + ">"
}

// wrap breaks text into lines of at most width characters, words permitting.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// Reference is the reference page of the configuration, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Written by go generate ./config from the table of options. Change config/option.go instead. -->

Later layers win: defaults, the configuration file (` + "`--config`, `WADM_CONFIG_FILE`" + `), environment variables, flags.

* Booleans are ` + "`true`, `false`, `1` or `0`" + `; as flags they stand alone.
* Durations are seconds (` + "`70`) or carry a unit (`70s`, `1m30s`, `500ms`" + `).
* An unknown flag, key or word for an enum is an error; an unknown ` + "`WADM_`" + ` variable is a warning that names the nearest known one.
* A variable that is set to the empty text counts as set.
* Variables of other programs are ignored: ` + "`WADM_VERSION`, `WADM_JS_DOMAIN`, `WADM_MANIFEST`, `WADM_PORT*`, `WADM_SERVICE_*`" + `.
* Exit code 2: flags or variables that cannot be read or do not fit together, such as half a credential. Exit code 6: a
  mistake in the configuration file; a file or credential that cannot be used, wherever it is named; ` + "`multitenant`" + `.

## Options

Options marked † exist in upstream wadm with the same flag and variable. They mean the same, except those that are
accepted without effect: setting one of them to anything but its default is a warning.

| key in the file | flag | variable | kind | default | meaning |
| --- | --- | --- | --- | --- | --- |
`)
	for _, o := range Options() {
		key := "–"
		if o.Key != "" {
			key = code(o.Key)
		}
		flag := code("--" + o.Long)
		if o.Short != "" {
			flag = code("-"+o.Short) + " " + flag
		}
		env := code(o.Env)
		if o.Secret {
			env += " " + code(o.Env+fileSuffix)
		}
		kind := string(o.Kind)
		if o.Kind == KindEnum {
			quoted := make([]string, len(o.Values))
			for i, v := range o.Values {
				quoted[i] = code(v)
			}
			kind = strings.Join(quoted, " ")
		}
		def := "–"
		if o.Default != "" {
			def = code(o.Default)
		}
		mark := ""
		if o.Upstream {
			mark = " †"
		}
		fmt.Fprintf(&b, "| %s | %s%s | %s | %s | %s | %s |\n", key, flag, mark, env, kind, def, o.Help)
	}
	b.WriteString(`
## A file with every key

` + "```yaml\n")
	group := ""
	for _, o := range grouped() {
		g, name, nested := strings.Cut(o.Key, ".")
		if !nested {
			g, name = "", o.Key
		}
		if g != group {
			group = g
			fmt.Fprintf(&b, "%s:\n", g)
		}
		indent := ""
		if g != "" {
			indent = "  "
		}
		switch {
		case o.Default == "":
			fmt.Fprintf(&b, "%s# %s:\n", indent, name)
		case o.Kind == KindText || o.Kind == KindEnum:
			fmt.Fprintf(&b, "%s%s: %q\n", indent, name, o.Default)
		default:
			fmt.Fprintf(&b, "%s%s: %s\n", indent, name, o.Default)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// grouped lists the options that can stand in a file: those without a group
// first, then group by group.
func grouped() []Option {
	var groups []string
	members := map[string][]Option{}
	for _, o := range Options() {
		if o.Key == "" {
			continue
		}
		g, _, nested := strings.Cut(o.Key, ".")
		if !nested {
			g = ""
		}
		if members[g] == nil && g != "" {
			groups = append(groups, g)
		}
		members[g] = append(members[g], o)
	}
	out := members[""]
	for _, g := range groups {
		out = append(out, members[g]...)
	}
	return out
}

func code(s string) string { return "`" + s + "`" }
