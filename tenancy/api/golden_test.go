package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/api"
)

// recorded is one request and the exact reply of the server we replace.
type recorded struct {
	Case    string            `json:"case"`
	Subject string            `json:"subject"`
	Headers map[string]string `json:"headers"`
	Request string            `json:"request"`
	Binary  string            `json:"request_base64"`
	Reply   json.RawMessage   `json:"reply"`
}

func recording(t testing.TB) []recorded {
	t.Helper()
	f, err := os.Open("testdata/upstream.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	var out []recorded
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// generated is a version made by the server.
var generated = regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`)

// deliberate lists every case whose reply differs on purpose, with the reason.
var deliberate = []struct {
	reason string
	cases  []string
}{
	{"words and positions of the YAML library", []string{"put, broken YAML", "put, broken JSON", "put, not UTF-8"}},
	{"D25: annotations may be absent", []string{"put, no annotations"}},
	{"D19: only ASCII names can be stored, said with the sentence for bad names", []string{"put, name 'ünï' of 3"}},
	{"names end at 128 bytes", []string{"put, name 'aaaaaaaaaaaaaaaaaaaa' of 300"}},
	{"D2: the requirements of a spread may be absent", []string{
		"put, trait: spread, zero weight", "get, trait: spread, zero weight",
		"put, trait: spread, two with one name", "get, trait: spread, two with one name",
	}},
}

func TestRepliesAreThoseOfTheRecording(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	why := map[string]string{}
	for _, d := range deliberate {
		for _, c := range d.cases {
			why[c] = d.reason
		}
	}
	all := recording(t)
	if len(all) != 333 {
		t.Fatalf("%d recorded requests", len(all))
	}
	for _, r := range all {
		m := &nats.Msg{Subject: r.Subject, Data: []byte(r.Request), Header: nats.Header{}}
		for k, v := range r.Headers {
			m.Header[k] = []string{v}
		}
		if r.Binary != "" {
			data, err := base64.StdEncoding.DecodeString(r.Binary)
			if err != nil {
				t.Fatal(err)
			}
			m.Data = data
		}
		reply := s.request(t, m)
		got, want := plain(t, reply.Data), plain(t, r.Reply)
		newVersionInMessage(got, want)
		diff := cmp.Diff(want, got)
		if reason, ok := why[r.Case]; ok {
			if diff == "" {
				t.Errorf("%s: equal, though it should differ: %s", r.Case, reason)
			}
			continue
		}
		// The recorded server writes the properties of a configuration in random order.
		if diff == "" && r.Case != "fixture oam/config.yaml, read back" {
			diff = cmp.Diff(names(t, r.Reply), names(t, reply.Data))
		}
		if diff != "" {
			t.Errorf("%s: %s\n%s\n%s", r.Case, r.Subject, r.Request, diff)
		}
	}
}

func plain(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(generated.ReplaceAll(data, []byte("ULID")), &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// names lists the strings of a document in their order, so that it shows in which
// order the members are written.
func names(t *testing.T, data []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	var out []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(string); ok && !strings.Contains(s, " ") {
			out = append(out, generated.ReplaceAllString(s, "ULID"))
		}
	}
}

// newVersionInMessage accepts that we name the version that was put, where the
// recording names the one before (D15, D-88), and lists names only.
func newVersionInMessage(got, want any) {
	g, ok := got.(map[string]any)
	w, ok2 := want.(map[string]any)
	if !ok || !ok2 || w["total_versions"] == nil || g["message"] == nil {
		return
	}
	version, _ := w["current_version"].(string)
	name, _ := w["name"].(string)
	if text, _ := g["message"].(string); strings.HasPrefix(text, "Successfully put manifest "+name+" "+version) {
		_, hint, has := strings.Cut(w["message"].(string), ", but ")
		_, mine, mineHas := strings.Cut(text, ", but ")
		if has == mineHas && strings.HasPrefix(hint, "some shared components") == strings.HasPrefix(mine, "some shared components") {
			w["message"] = text
		}
	}
}
