package config

import (
	"errors"
	"strings"
)

// What [Load] returns; match with errors.Is.
var (
	// ErrUsage marks a command line or an environment that cannot be used.
	ErrUsage = errors.New("wrong usage")
	// ErrInvalid marks a configuration file, or what results from one, that
	// cannot be used.
	ErrInvalid = errors.New("invalid configuration")
	// ErrHelp is returned when help was asked for.
	ErrHelp = errors.New("help requested")
	// ErrVersion is returned when the version was asked for.
	ErrVersion = errors.New("version requested")
)

// Error is everything that is wrong with a configuration. It matches
// [ErrUsage] or [ErrInvalid].
type Error struct {
	kind     error
	Problems []string
}

// Error lists the problems, one a line.
func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Unwrap tells the kind of the error.
func (e *Error) Unwrap() error { return e.kind }

// Warning is something in the configuration or the environment that has no effect
// although it looks as if it should have one.
type Warning struct {
	// Name is the variable or the option the warning is about.
	Name string
	// Message says what is wrong and, where possible, what was meant.
	Message string
}

// String is the line to show to the operator.
func (w Warning) String() string { return w.Name + ": " + w.Message }

// problem is one mistake, and where it came from.
type problem struct {
	text string
	// inFile is set when the configuration file has a part in it.
	inFile bool
}

// report turns problems into one error, or nil. A mistake made only in flags
// and variables is wrong usage, as it was upstream (exit code 2); the file makes it
// an invalid configuration.
func report(problems []problem) error {
	if len(problems) == 0 {
		return nil
	}
	e := &Error{kind: ErrUsage}
	for _, p := range problems {
		e.Problems = append(e.Problems, p.text)
		if p.inFile {
			e.kind = ErrInvalid
		}
	}
	return e
}
