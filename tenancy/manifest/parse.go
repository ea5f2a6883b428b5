package manifest

import "fmt"

// The content types that [Parse] knows; they are compared as they are.
const (
	ContentJSON = "application/json"
	ContentYAML = "application/yaml"
)

// Parse reads a manifest. present says whether the request had a content type
// at all: without one, the body is read as YAML and, if that fails, as JSON.
//
// The text of an error is what follows "Unable to parse manifest: " in the
// reply, in the words clients know. Errors that wrap [ErrBudget] say that b was
// passed. Parse checks the shape of a manifest only; see [Manifest.Validate].
func Parse(data []byte, contentType string, present bool, b Budget) (*Manifest, error) {
	b = b.WithDefaults()
	if f := b.checkBytes(len(data)); f != nil {
		return nil, f
	}
	switch {
	case !present:
		m, yf := parseYAML(data, b)
		if yf == nil {
			return m, nil
		}
		if yf.budget {
			return nil, yf
		}
		m, jf := parseJSON(data, b)
		if jf == nil {
			return m, nil
		}
		return nil, neither{yaml: yf, json: jf}
	case contentType == ContentJSON:
		m, f := parseJSON(data, b)
		if f != nil {
			return nil, f
		}
		return m, nil
	case contentType == ContentYAML:
		m, f := parseYAML(data, b)
		if f != nil {
			return nil, f
		}
		return m, nil
	default:
		return nil, fmt.Errorf("Unsupported content type %s given. Wadm supports YAML and JSON", clip(contentType)) //nolint:staticcheck // clients know these words
	}
}

func parseYAML(data []byte, b Budget) (*Manifest, *fault) {
	n, f := readYAML(data, b)
	if f != nil {
		return nil, f
	}
	return decoder{yaml: true}.manifest(n)
}

func parseJSON(data []byte, b Budget) (*Manifest, *fault) {
	n, f := readJSON(data, b)
	if f != nil {
		return nil, f.locate(data)
	}
	m, f := decoder{}.manifest(n)
	if f != nil {
		// Only YAML faults have ever carried a path.
		f.path = ""
		return nil, f.locate(data)
	}
	return m, nil
}
