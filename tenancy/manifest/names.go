package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// CheckName says, in the words clients know, why an application cannot have a
// name. Blanks around it do not count here, but [Manifest.Validate] refuses them.
func CheckName(name string) error {
	name = strings.TrimSpace(name)
	if !isAppName(name) {
		return fmt.Errorf("Manifest name %s contains invalid characters. Manifest names can only contain alphanumeric characters, dashes, and underscores.", clip(name)) //nolint:revive,staticcheck // clients know these words
	}
	return nil
}

// CheckVersion says, in the words clients know, why m cannot have the version
// it asks for.
func CheckVersion(m *Manifest) error {
	if v, ok := m.Version(); ok && v == VersionLatest {
		return errors.New(`invalid manifest version, errors: "latest is not allowed in wadm"`)
	}
	return nil
}

// isAppName keeps to ASCII: other letters pass for upstream's check, but not for
// its storage, whose keys know ASCII only.
func isAppName(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool       { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isAlphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }

// isMetadataKey checks the key of a label or an annotation: a name, or a DNS
// subdomain, a slash and a name.
func isMetadataKey(k string) bool {
	prefix, name, ok := strings.Cut(k, "/")
	if !ok {
		return isKeyName(k)
	}
	return isSubdomain(prefix) && isKeyName(name)
}

func isKeyName(s string) bool {
	if len(s) == 0 || len(s) > 63 || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isSubdomain(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if len(part) == 0 || len(part) > 63 || !isLetter(part[0]) || !isAlphanumeric(part[len(part)-1]) {
			return false
		}
		for i := range len(part) {
			if !isAlphanumeric(part[i]) && part[i] != '-' {
				return false
			}
		}
	}
	return true
}
