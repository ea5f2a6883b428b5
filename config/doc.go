// Package config reads and checks the server's configuration.
//
// There is one table of options, [Options]. Flags, environment variables, the
// keys of the configuration file, the help text and the reference page
// docs/reference/configuration.md all come from it, so they cannot disagree.
// Later layers win: defaults, file, environment, flags.
//
// Every option of upstream wadm keeps its flag, its variable and its default.
// What upstream silently replaced by something else, such as an unknown word
// for the persistence, is an error here.
//
// [Load] never touches the process: it is given arguments and environment, and
// reads only the files they name. Tests call it with tables.
package config

//go:generate go test . -run TestReferencePageIsCurrent -update
