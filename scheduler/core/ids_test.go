package core_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/tenancy/manifest"
)

// everyScaler has each kind of scaler, with configs and secrets on both ends of a
// link, explicit ids and shared references.
const everyScaler = `
apiVersion: v
kind: k
metadata: {name: My-App, annotations: {version: v1}}
spec:
  policies:
  - {name: p, type: policy.secret.wasmcloud.dev/v1alpha1, properties: {backend: b, z: y}}
  components:
  - name: Web ui
    type: component
    properties:
      image: r.io/web:1
      config: [{name: c-1, properties: {a: b}}, {name: ext-2}]
      secrets: [{name: s-1, properties: {policy: p, key: k}}]
    traits:
    - {type: spreadscaler, properties: {instances: 2, spread: [{name: a, requirements: {z: a}, weight: 3}]}}
    - type: link
      properties:
        name: ln
        namespace: wasi
        package: keyvalue
        interfaces: [store, atomics]
        source: {config: [{name: sc, properties: {a: b}}], secrets: [{name: ss, properties: {policy: p, key: k}}]}
        target: {name: kv, config: [{name: tc, properties: {a: b}}, {name: tx}], secrets: [{name: ts, properties: {policy: p, key: k}}]}
  - name: dm
    type: component
    properties: {image: r.io/dm:1, id: explicit.id}
    traits:
    - {type: daemonscaler, properties: {instances: 2}}
  - name: kv
    type: capability
    properties: {image: r.io/kv:1, config: [{name: kc, properties: {}}]}
    traits:
    - {type: daemonscaler, properties: {instances: 1}}
  - name: imp
    type: capability
    properties: {image: r.io/imp:1, secrets: [{name: s-1, properties: {policy: p, key: k}}]}
    traits:
    - {type: link, properties: {namespace: a, package: b, interfaces: [c], target: sh-c}}
  - name: sh
    type: capability
    properties: {application: {name: Base-App, component: h-p}}
    traits:
    - {type: link, properties: {namespace: a, package: b, interfaces: [c], target: dm, source_config: [{name: q, properties: {x: y}}]}}
  - name: sh-c
    type: component
    properties: {application: {name: Base-App, component: c.c}}
`

// The ids are those upstream 0.21.1 reported in the status of this application:
// running workloads carry them, and whoever computes others takes them for foreign.
func TestEveryKindOfScalerHasUpstreamsID(t *testing.T) {
	t.Parallel()
	m, err := manifest.Parse([]byte(everyScaler), manifest.ContentYAML, true, manifest.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.apps["My-App"] = m
	w.desired()
	w.run(20 * time.Second)
	got := map[string]string{}
	for _, sc := range w.core.Explain("My-App", w.now).Scalers {
		got[sc.Kind+" "+sc.Name] = sc.ID
	}
	if diff := cmp.Diff(map[string]string{
		"SpreadScaler my_app-web_ui":                            "9212c5dc2ef156ad9a5f6e1cde39d71776792b158bdab8d3257c7267e0c1f03e",
		"LinkScaler my_app-web_ui -(wasi:keyvalue)-> my_app-kv": "bb21c867e13d328c16d0e1a32fa8dd9fd94e92a5ca6bef70e868032f776b2cc7",
		"DaemonScaler explicit.id":                              "93b54f7f1ff8bded655224aa74181629bbeec3688c56db342b17ec30ece88e57",
		"DaemonScaler my_app-kv":                                "85020f5ec021e54d2b620f5211c07b1e81f0f6726a405b37fae7d0143ec2b700",
		"LinkScaler my_app-imp -(a:b)-> base_app-c_c":           "e2725005b8746193f2c2ccdef0e8b1d4dddf537a4e72d09017747ffdea8e92c4",
		"SpreadScaler my_app-imp":                               "f1a71edb36ea7d76c8bc8f42c0828ca0d94c495550463870e14ccd5afc5fcf8f",
		"LinkScaler base_app-h_p -(a:b)-> explicit.id":          "ddd62ed548d482f81c631df087e51fc7ffa20a2abea7c32ffce004a666bed576",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
