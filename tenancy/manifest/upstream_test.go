package manifest_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

// put is one recorded model.put of upstream, with its exact reply and, where it
// was read back, the manifest that upstream had stored.
type put struct {
	Case    string            `json:"case"`
	Headers map[string]string `json:"headers"`
	File    string            `json:"file"`
	Base64  []byte            `json:"base64"`
	Request string            `json:"request"`
	Result  string            `json:"result"`
	Message string            `json:"message"`
	Stored  json.RawMessage   `json:"stored"`
}

func (p put) body(t *testing.T) []byte {
	t.Helper()
	switch {
	case p.File != "":
		b, err := os.ReadFile(filepath.Join("testdata", "fixtures", p.File))
		if err != nil {
			t.Fatal(err)
		}
		return b
	case p.Base64 != nil:
		return p.Base64
	default:
		return []byte(p.Request)
	}
}

func recorded(t testing.TB) []put {
	t.Helper()
	f, err := os.Open("testdata/puts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var puts []put
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var p put
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		puts = append(puts, p)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return puts
}

// answer does the part of a put that needs no storage: the message of the
// refusal, or nothing.
func answer(body []byte, headers map[string]string) (*manifest.Manifest, string) {
	contentType, present := headers["Content-Type"]
	m, err := manifest.Parse(body, contentType, present, manifest.Budget{})
	if err != nil {
		return nil, "Unable to parse manifest: " + err.Error()
	}
	if err := manifest.CheckVersion(m); err != nil {
		return m, err.Error()
	}
	if err := manifest.CheckName(m.Metadata.Name); err != nil {
		return m, err.Error()
	}
	if f, refused := manifest.FirstError(m.Validate()); refused {
		return m, f.Message
	}
	return m, ""
}

// differs lists every recorded put to which we answer otherwise, on purpose.
var differs = map[string]struct{ want, why string }{
	"put, broken YAML": {
		"Unable to parse manifest: YAML parsing failed: Error(\"did not find expected node content\", line: 1)\n\n" +
			"Caused by:\n    JSON parsing failed: Error(\"expected value\", line: 1, column: 1)",
		"the text is scanned whole before it is decoded, so the scanner's fault comes first",
	},
	"put, broken JSON": {
		"Unable to parse manifest: YAML parsing failed: Error(\"did not find expected node content\", line: 1)\n\n" +
			"Caused by:\n    JSON parsing failed: Error(\"EOF while parsing a value\", line: 1, column: 15)",
		"upstream prints the inside of its scanner's error",
	},
	"put, not UTF-8": {
		"Unable to parse manifest: YAML parsing failed: Error(\"invalid leading UTF-8 octet\")\n\n" +
			"Caused by:\n    JSON parsing failed: Error(\"expected value\", line: 1, column: 1)",
		"upstream prints the inside of its scanner's error",
	},
	"put, no annotations": {"", "D25: a manifest may leave out annotations, as upstream's own output does"},
	"put, name 'ünï' of 3": {
		"Manifest name ünï contains invalid characters. Manifest names can only contain alphanumeric characters, dashes, and underscores.",
		"D19: upstream lets the name pass and then fails to store it",
	},
	"put, trait: spread, zero weight":       {"", "D2: a spread may leave out requirements, as upstream's own output does; D10: equal weights"},
	"put, trait: spread, two with one name": {"", "D2: a spread may leave out requirements, as upstream's own output does"},
	"put, same version, same content":       {"", "whether a version exists is the catalog's business"},
	"put, same version, other content":      {"", "whether a version exists is the catalog's business"},
}

func TestEveryRecordedPutGetsUpstreamsAnswer(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, p := range recorded(t) {
		want := p.Message
		if p.Result != "error" {
			want = ""
		}
		if d, ok := differs[p.Case]; ok {
			used[p.Case] = true
			if d.want == want {
				t.Errorf("%s: listed as a difference (%s) but upstream answers the same", p.Case, d.why)
			}
			want = d.want
		}
		m, got := answer(p.body(t), p.Headers)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: answer (-want +got):\n%s", p.Case, diff)
		}
		if got != "" || p.Stored == nil {
			continue
		}
		sameAsStored(t, p, m)
	}
	if len(used) != len(differs) {
		t.Errorf("%d differences listed, %d occur", len(differs), len(used))
	}
}

func sameAsStored(t *testing.T, p put, m *manifest.Manifest) {
	t.Helper()
	var stored manifest.Manifest
	if err := json.Unmarshal(p.Stored, &stored); err != nil {
		t.Errorf("%s: read what upstream stored: %v", p.Case, err)
		return
	}
	// A put without version is stored with a random one.
	if _, ok := m.Version(); !ok {
		if m.Metadata.Annotations == nil {
			m.Metadata.Annotations = map[string]string{}
		}
		m.Metadata.Annotations["version"] = stored.Metadata.Annotations["version"]
	}
	if diff := cmp.Diff(&stored, m); diff != "" {
		t.Errorf("%s: against what upstream stored (-upstream +ours):\n%s", p.Case, diff)
	}
	canonical, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs any
	if err := json.Unmarshal(canonical, &ours); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p.Stored, &theirs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("%s: canonical form (-upstream +ours):\n%s", p.Case, diff)
	}
}

func TestRecordingIsComplete(t *testing.T) {
	t.Parallel()
	puts := recorded(t)
	stored := 0
	for _, p := range puts {
		if p.Stored != nil {
			stored++
		}
	}
	if len(puts) != 182 || stored != 54 {
		t.Errorf("recording has %d puts, %d read back; want 182 and 54", len(puts), stored)
	}
}
