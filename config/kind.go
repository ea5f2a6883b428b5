package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is the form in which an option is written. Every kind has one Go type.
type Kind string

// The kinds of options.
const (
	KindText     Kind = "text"     // string
	KindEnum     Kind = "enum"     // string, one of the option's Values
	KindBool     Kind = "boolean"  // bool: true, false, 1 or 0
	KindNumber   Kind = "number"   // int
	KindCount    Kind = "count"    // int: 1 or more, or unlimited (0)
	KindBytes    Kind = "bytes"    // int64: bytes, -1 is unlimited
	KindDuration Kind = "duration" // time.Duration: seconds, or a number with a unit
)

// parse reads a value as it is written in flags, variables and files.
func (k Kind) parse(s string) (any, error) {
	switch k {
	case KindBool:
		switch s {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
		return nil, errors.New("must be true, false, 1 or 0")
	case KindNumber:
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, errors.New("must be a whole number")
		}
		return n, nil
	case KindCount:
		if s == "unlimited" {
			return 0, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, errors.New("must be a whole number of 1 or more, or unlimited")
		}
		return n, nil
	case KindBytes:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < -1 {
			return nil, errors.New("must be a whole number of bytes, or -1 for no limit")
		}
		return n, nil
	case KindDuration:
		return ParseDuration(s)
	default:
		return s, nil
	}
}

// ParseDuration reads a duration as all options have it: seconds ("70") or a Go
// duration ("70s", "1m10s"), 0 or more. The error says what is wanted, not what came.
func ParseDuration(s string) (time.Duration, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/int64(time.Second) {
			return 0, errors.New("must be a duration of 0 or more that fits")
		}
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration: seconds such as 70, or with a unit such as 70s, 1m, 500ms")
	}
	return d, nil
}

// format writes a value in the form parse reads.
func (k Kind) format(v any) string {
	switch v := v.(type) {
	case int:
		if k == KindCount && v == 0 {
			return "unlimited"
		}
		return strconv.Itoa(v)
	case time.Duration:
		s := v.String()
		// 2m0s reads better as 2m.
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	default:
		return fmt.Sprint(v)
	}
}
