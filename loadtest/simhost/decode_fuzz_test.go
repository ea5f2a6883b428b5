package simhost

import "testing"

// FuzzDecode: no body makes a decoder panic, and what is refused is refused
// with nothing of it used.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{`, `[]`, `{"component_id":"c","component_ref":"r","count":1,"annotations":{"a":"b"},"config":["x"],"host_id":"N","allow_update":true,"component_limits":{"max_memory_limit":"1"}}`,
		`{"provider_id":"p","provider_ref":"r","config":null}`, `{"source_id":"a","target":"b","name":"n","wit_namespace":"w","wit_package":"p","interfaces":["i",null]}`,
		`{"key":"k","value":"v"}`, `{"host_id":"N","timeout":5}`, `{"component_id":"c","constraints":{}}`, `{"r":{"registryType":"oci"}}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if s, err := decodeScale(body); err == nil && s.config == nil {
			t.Error("scale without a list")
		}
		if s, err := decodeStart(body); err == nil && s.config == nil {
			t.Error("start without a list")
		}
		if k, err := decodeLink(body); err == nil && (k.Interfaces == nil || k.SourceConfig == nil || k.TargetConfig == nil || appendLinkFields(newObject(nil), k).end() == nil) {
			t.Error("link without lists")
		}
		if m, err := decodeConfig(body); err == nil {
			again, err := decodeConfig(appendMap(nil, m))
			if err != nil || len(again) != len(m) {
				t.Errorf("config %v became %v: %v", m, again, err)
			}
		}
		_, _ = decodeUpdate(body)
		_, _ = decodeStop(body)
		_, _ = decodeAuction("component", body)
		_, _ = decodeHostStop(body)
		_, _, _ = decodeLabel(body)
		_, _ = decodeLabelKey(body)
		_, _ = decodeLinkKey(body)
		_ = decodeRegistries(body)
	})
}
