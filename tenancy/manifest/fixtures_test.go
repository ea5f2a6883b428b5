package manifest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

// verdict is what upstream makes of one file: the application and version it
// holds, and every failure, in order.
type verdict struct {
	app, version string
	// unreadable is part of the text of the parse error.
	unreadable string
	failures   []string
}

var verdicts = map[string]verdict{
	"oam/config.yaml": {app: "config-example"},
	"oam/custom.yaml": {app: "my-example-app"},
	"oam/echo.yaml":   {app: "echo"},
	"oam/hello.yaml":  {app: "hello-world"},
	"oam/kvcounter.yaml": {app: "kvcounter-rust", failures: []string{
		"[warning] unrecognized interface [wasi:keyvalue/atomic]",
		"[warning] unrecognized interface [wasi:keyvalue/eventual]",
	}},
	"oam/simple1.json": {app: "my-example-app"},
	"oam/simple1.yaml": {app: "my-example-app"},
	"oam/simple2.yaml": {app: "my-example-app"},
	"oam/sqldbpostgres.yaml": {app: "rust-sqldb-postgres-query", version: "v0.0.1", failures: []string{
		"[warning] unrecognized interface [wasmcloud:postgres/query]",
	}},
	"manifests/all_hosts.yaml":                      {app: "hello-all-hosts"},
	"manifests/complex.yaml":                        {app: "complex"},
	"manifests/correct_unique_interface_links.yaml": {app: "test-different-interfaces"},
	"manifests/custom-interface.wadm.yaml":          {app: "custom-interface", version: "v0.0.1"},
	"manifests/dangling-link.wadm.yaml": {app: "dangling-link", version: "v0.0.1", failures: []string{
		`[error] The following capability component(s) are missing from the manifest: ["httpclient"]`,
		"[warning] link (target [httpclient]) target [httpclient] is not a listed component",
	}},
	"manifests/deprecated-source-and-target-config.yaml": {app: "rust-http-blobstore", version: "v0.0.1"},
	"manifests/duplicate_component.yaml": {app: "petclinic", failures: []string{
		"[error] Duplicate component name in manifest: ui",
		"[error] Duplicate component name in manifest: vets",
	}},
	"manifests/duplicate_id1.yaml": {app: "my-example-app", failures: []string{
		"[error] Duplicate component identifier in manifest: httpserver",
	}},
	"manifests/duplicate_id2.yaml": {app: "petclinic", failures: []string{
		"[error] Duplicate component identifier in manifest: ui",
	}},
	"manifests/duplicate_link_config_names.wadm.yaml": {app: "my-example-app", failures: []string{
		"[error] Duplicate link config name found: 'redis-url'",
		"[error] Duplicate link config name found: 'alternate-port'",
		"[error] Duplicate link config name found: 'default-port'",
	}},
	"manifests/duplicate_links.yaml": {app: "test-link-name-uniqueness", failures: []string{
		"[error] Duplicate link found inside component 'httpserver': default (wasi:http/incoming-handler)",
	}},
	"manifests/events.json":    {unreadable: `YAML parsing failed: Error("invalid type: sequence, expected struct Manifest", line: 1, column: 1)`},
	"manifests/host_stop.yaml": {app: "host-stop"},
	"manifests/incorrect_component.yaml": {app: "petclinic", failures: []string{
		"[error] Duplicate component name in manifest: ui",
		"[error] Duplicate component name in manifest: vets",
		`[error] Scaler trait deserialized as custom trait, ensure fields are correct: {"spread":[{"name":"uiclinicapp","requirements":{"app":"petclinic"}}]}`,
	}},
	"manifests/incorrect_unique_interface_links.yaml": {app: "test-duplicate-interfaces", failures: []string{
		"[error] Duplicate link found inside component 'my-component': default (wasi:keyvalue/atomics)",
	}},
	"manifests/long_image_refs.yaml":  {app: "echo-simple"},
	"manifests/lotta_components.yaml": {app: "lotta-components"},
	"manifests/made-up-key.wadm.yaml": {unreadable: "YAML parsing failed: Error(\"spec.components[0].traits[0]: unknown field `incorrect`, expected `type` or `properties`\", line: 19, column: 11)"},
	"manifests/misnamed-interface.wadm.yaml": {app: "misnamed-interface", version: "v0.0.1", failures: []string{
		"[warning] unrecognized interface [wasi:keyvalue/atomic]",
	}},
	"manifests/missing_capability_component.yaml": {app: "echo-simple", failures: []string{
		`[error] The following capability component(s) are missing from the manifest: ["httpclyent"]`,
	}},
	"manifests/outdatedapp.yaml": {app: "updateapp"},
	"manifests/policy.wadm.yaml": {app: "sample", version: "v0.0.1"},
	"manifests/shared/both_properties.yaml": {app: "both-props", failures: []string{
		"[error] Component cannot have both 'image' and 'application' properties",
	}},
	"manifests/shared/no_matching_app.yaml":       {app: "some-nonexistant-app"},
	"manifests/shared/no_matching_component.yaml": {app: "no-matching-component"},
	"manifests/shared/no_properties.yaml": {app: "no-props", failures: []string{
		"[error] Component must have either 'image' or 'application' property",
	}},
	"manifests/shared/notshared_http.yaml":       {app: "not-shared-http"},
	"manifests/shared/notshared_http_dev.yaml":   {app: "not-shared-http-dev"},
	"manifests/shared/shared_component.yaml":     {app: "shared-component"},
	"manifests/shared/shared_component_dev.yaml": {app: "shared-component-dev"},
	"manifests/shared/shared_http.yaml":          {app: "shared-http"},
	"manifests/shared/shared_http_dev.yaml":      {app: "shared-http-dev"},
	"manifests/simple.wadm.yaml":                 {app: "sample", version: "v0.0.1"},
	"manifests/simple.yaml":                      {app: "hello-simple"},
	"manifests/simple2.yaml":                     {app: "my-example-app"},
	"manifests/unknown-package.wadm.yaml": {app: "unknown-package", version: "v0.0.1", failures: []string{
		"[warning] unrecognized interface [wasi:keyvalues/atomics]",
	}},
	"manifests/upgradedapp.yaml":  {app: "updateapp"},
	"manifests/upgradedapp2.yaml": {app: "updateapp"},
	"manifests/upgradedapp3.yaml": {app: "dontupdateapp"},
}

func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	root := filepath.Join("testdata", "fixtures")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEveryFixtureGetsUpstreamsVerdict(t *testing.T) {
	t.Parallel()
	files := fixtures(t)
	for name := range verdicts {
		if files[name] == nil {
			t.Errorf("%s has a verdict but is not there", name)
		}
	}
	for name, body := range files {
		want, ok := verdicts[name]
		if !ok {
			t.Errorf("%s has no verdict", name)
			continue
		}
		typed := manifest.ContentYAML
		if strings.HasSuffix(name, ".json") {
			typed = manifest.ContentJSON
		}
		// Declaring the content type changes the words of a parse error only.
		for _, contentType := range []string{"", typed} {
			m, err := manifest.Parse(body, contentType, contentType != "", manifest.Budget{})
			if want.unreadable != "" {
				if err == nil || contentType == "" && !strings.Contains(err.Error(), want.unreadable) {
					t.Errorf("%s: parse gives %v, want %s", name, err, want.unreadable)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			version, _ := m.Version()
			got := verdict{app: m.Metadata.Name, version: version}
			for _, f := range m.Validate() {
				got.failures = append(got.failures, f.String())
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(verdict{})); diff != "" {
				t.Errorf("%s as %q (-want +got):\n%s", name, contentType, diff)
			}
		}
	}
}
