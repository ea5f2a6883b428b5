package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"wadm/config/spelling"
)

// layer holds the values one source gives, by the long name of the option.
type layer map[string]any

// Load reads the configuration from the arguments (without the program's
// name), the environment ("NAME=value" each) and the file these name. It
// returns the configuration with defaults filled in and validated.
//
// The error matches [ErrHelp] or [ErrVersion] when that was asked for, else
// [ErrUsage] or [ErrInvalid], and lists everything that is wrong. Warnings
// are returned in any case.
func Load(args, environ []string) (Config, []Warning, error) {
	options := Options()
	flags, err := readFlags(args, options)
	if err != nil {
		return Config{}, nil, err
	}
	vars := Variables(environ)
	env, warnings, problems := readVariables(vars, options)

	file := layer{}
	path, _ := flags["config"].(string)
	if path == "" {
		path, _ = env["config"].(string)
	}
	if path != "" {
		var more []problem
		file, more = readFile(path, options)
		problems = append(problems, more...)
	}

	defaults := layer{}
	for _, o := range options {
		defaults[o.Long] = o.defaultValue()
	}
	// RUST_LOG is everybody's variable, so anything said to us wins over it.
	if level, more := rustLogLevel(vars); level != "" {
		defaults["log-level"] = level
	} else if flags["log-level"] == nil && env["log-level"] == nil && file["log-level"] == nil {
		warnings = append(warnings, more...)
	}
	if len(problems) > 0 {
		return Config{}, warnings, report(problems)
	}

	// The delimiter never occurs in a long name: the maps are flat.
	merged := koanf.New("/")
	for _, l := range []layer{defaults, file, env, flags} {
		if err := merged.Load(confmap.Provider(l, ""), nil); err != nil {
			return Config{}, warnings, fmt.Errorf("merge configuration: %w", err)
		}
	}
	var cfg Config
	for _, o := range options {
		v := merged.Get(o.Long)
		o.set(&cfg, v)
		if o.Ignored && v != o.defaultValue() {
			warnings = append(warnings, Warning{"--" + o.Long, o.Help})
		}
	}
	cfg = cfg.WithDefaults()

	// Every value was checked where it came from; what is left is how they fit.
	for _, r := range relations() {
		if err := r.check(&cfg); err != nil {
			problems = append(problems, problem{text: err.Error(), inFile: concerns(r, file, options)})
		}
	}
	if err := report(problems); err != nil {
		return Config{}, warnings, err
	}
	return cfg, warnings, nil
}

// concerns reports whether one of the options of r stands in the file.
func concerns(r relation, file layer, options []Option) bool {
	for _, o := range options {
		if _, ok := file[o.Long]; ok && slices.Contains(r.keys, o.Key) {
			return true
		}
	}
	return false
}

// readFlags parses the command line.
func readFlags(args []string, options []Option) (layer, error) {
	set := pflag.NewFlagSet("wadm", pflag.ContinueOnError)
	set.Usage = func() {}
	set.SetInterspersed(true)
	values := layer{}
	var given []string
	for _, o := range options {
		f := set.VarPF(&flagValue{option: o, into: values}, o.Long, o.Short, o.Help)
		if o.Kind == KindBool {
			f.NoOptDefVal = "true"
		}
		given = append(given, "--"+o.Long)
	}
	help := set.BoolP("help", "h", false, "")
	version := set.BoolP("version", "V", false, "")
	err := set.Parse(args)
	switch {
	case err == nil && *help, errors.Is(err, pflag.ErrHelp):
		return nil, ErrHelp
	case err == nil && *version:
		return nil, ErrVersion
	case err == nil && set.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if err == nil {
		return values, nil
	}
	text := err.Error()
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && len(unknown.GetSpecifiedName()) > 1 {
		if near, ok := spelling.Nearest("--"+unknown.GetSpecifiedName(), append(given, "--help", "--version"), true); ok {
			text += "; did you mean " + near + "?"
		}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		// pflag repeats the value in its own text, which would show secrets.
		text = fmt.Sprintf("option --%s: %v", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return nil, report([]problem{{text: text}})
}

// flagValue puts what one flag says into a layer.
type flagValue struct {
	option Option
	into   layer
}

// Set takes the value; a flag given twice is a mistake, as it was upstream.
func (f *flagValue) Set(s string) error {
	if _, ok := f.into[f.option.Long]; ok {
		return errors.New("given more than once")
	}
	v, err := f.option.parse(s)
	if err != nil {
		return err
	}
	f.into[f.option.Long] = v
	return nil
}

// String is empty: help text is made from the table.
func (f *flagValue) String() string { return "" }

// Type names the kind of value.
func (f *flagValue) Type() string { return string(f.option.Kind) }
