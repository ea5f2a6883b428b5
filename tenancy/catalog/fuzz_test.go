package catalog_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"wadm/tenancy/catalog"
)

// FuzzHead: what is accepted as a head is accepted in the form in which it is
// written, and written the same again.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		`{"format":1,"born":"x","versions":[{"version":"v1","body":"01ARZ3NDEKTSV4RRFFQ69G5FAV","at":"2026-01-01T00:00:00Z"}],"deployed":"v1","deploys":1}`,
		`{"format":1,"born":"x","versions":[{"version":"v1","body":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}],"deployed":"v1","deploys":1,"replaced":[{"by":"a"},{"by":"b","body":"c"}]}`,
		`{"format":1,"versions":[{"version":"","body":"01ARZ3NDEKTSV4RRFFQ69G5FAV","description":"<d>"}],"deployed":null,"changes":[{"id":"a","did":"put"}]}`,
		`{"format":2}`, `{"format":1,"versions":[]}`, `null`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := catalog.DecodeHead(data)
		if err != nil {
			return
		}
		once, err := h.Encode()
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := catalog.DecodeHead(once)
		if err != nil {
			t.Fatalf("%q: %v", once, err)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s\n%s\n%v", once, twice, err)
		}
	})
}

// FuzzForeign: what is accepted as a record has its versions once each, every
// manifest under its own version, and the deployed one among them.
func FuzzForeign(f *testing.F) {
	data, err := os.ReadFile("testdata/wadm_manifests.json")
	if err != nil {
		f.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		f.Fatal(err)
	}
	for _, v := range raw {
		f.Add([]byte(v))
	}
	f.Add([]byte(record("shop", "b", "b", "a")))
	f.Add([]byte(`{"manifests":{},"deployed_version":null}`))
	f.Add([]byte(`{"manifests":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		manifests, deployed, err := catalog.DecodeForeign(data)
		if err != nil {
			return
		}
		known := map[string]bool{}
		for _, m := range manifests {
			v, has := m.Version()
			if !has || known[v] {
				t.Errorf("version %q, %v", v, has)
			}
			known[v] = true
		}
		if deployed != nil && !known[*deployed] {
			t.Errorf("deployed %q", *deployed)
		}
	})
}
