package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
)

// version is ours; wadmctl has the same. The release build sets it:
// -ldflags "-X main.version=1.2.3".
var version = "0.22.0"

// apiLevel is the version of upstream wadm whose API this server speaks.
const apiLevel = "0.21"

// buildInfo is what /version answers.
type buildInfo struct {
	Version  string `json:"version"`
	APILevel string `json:"api_level"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Instance string `json:"instance,omitempty"`
}

func currentBuild(instance string) buildInfo {
	b := buildInfo{Version: version, APILevel: apiLevel, Go: runtime.Version(), Instance: instance}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

// printVersion writes the line that wash compares with the version it wants:
// a word that starts with wadm, a blank, the version.
func printVersion(w io.Writer) { fmt.Fprintln(w, "wadm "+version) }

// printBuild writes the same first line and what else is known.
func printBuild(w io.Writer) {
	b := currentBuild("")
	printVersion(w)
	fmt.Fprintf(w, "API level %s\n%s %s/%s\n", b.APILevel, b.Go, runtime.GOOS, runtime.GOARCH)
	if b.Revision != "" {
		fmt.Fprintf(w, "revision %s\n", b.Revision)
	}
}

func jsonPage(value func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body, err := json.MarshalIndent(value(), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(body, '\n'))
	})
}
