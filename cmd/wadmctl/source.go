package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"wadm/tenancy/manifest"
)

// mostManifest bounds what is read of a manifest, as the server does.
const mostManifest = 1 << 20

// storedName is what wash takes for the name of a stored application.
var storedName = regexp.MustCompile(`^[-\w]+$`)

// source is where a manifest came from.
type source struct {
	// name is for messages: the path, the URL, or "standard input".
	name string
	// dir is what relative file:// images are relative to; empty for URLs.
	dir  string
	data []byte
}

// isSource tells a file, a URL or "-" from the name of a stored application.
func isSource(arg string) bool {
	if arg == "-" || strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://") {
		return true
	}
	switch strings.ToLower(filepath.Ext(arg)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return !storedName.MatchString(arg)
}

// read fetches a manifest. Nothing or "-" is standard input.
func (p *program) read(ctx context.Context, arg string) (source, error) {
	switch {
	case arg == "" || arg == "-":
		if arg == "" && isTerminalReader(p.stdin) {
			return source{}, usagef("no manifest: give a file, a URL, or '-' for standard input")
		}
		data, err := bounded(p.stdin)
		dir, _ := os.Getwd()
		return source{"standard input", dir, data}, unreadable("standard input", err)
	case strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "https://"):
		data, err := download(ctx, arg, time.Duration(p.conn.timeout))
		return source{arg, "", data}, unreadable(arg, err)
	default:
		path, err := localPath(arg)
		if err != nil {
			return source{}, unreadable(arg, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return source{}, unreadable(path, err)
		}
		defer func() { _ = f.Close() }()
		data, err := bounded(f)
		if err != nil {
			return source{}, unreadable(path, err)
		}
		dir, err := filepath.Abs(filepath.Dir(path))
		return source{path, dir, data}, unreadable(path, err)
	}
}

// localPath is the path that arg is or that a file URL names.
func localPath(arg string) (string, error) {
	if !strings.HasPrefix(arg, "file://") {
		return arg, nil
	}
	u, err := url.Parse(arg)
	switch {
	case err != nil:
		return "", err
	case u.Host == "localhost", u.Host == "":
		return filepath.FromSlash(u.Path), nil
	case u.Host == "." || u.Host == "..":
		// Not what the standard says, but what people write.
		return filepath.FromSlash(u.Host + u.Path), nil
	default:
		return "", fmt.Errorf("the file is on host %q: a file URL has three slashes, as in file:///folder/app.yaml", u.Host)
	}
}

func isTerminalReader(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isTerminal(f)
}

// unreadable wraps the error of a read; nil stays nil.
func unreadable(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return failed("", err)
	}
	return &failure{exitInvalid, "cannot read manifest " + name, err, ""}
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostManifest+1))
	if err == nil && len(data) > mostManifest {
		err = fmt.Errorf("longer than %d bytes", mostManifest)
	}
	return data, err
}

func download(ctx context.Context, address string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := new(http.Client).Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", res.Status)
	}
	return bounded(res.Body)
}

// contentType is how to read s. The parser would try both forms, but then its
// words about a mistake are about both.
func (s source) contentType() string {
	if strings.EqualFold(filepath.Ext(s.name), ".json") {
		return manifest.ContentJSON
	}
	return manifest.ContentYAML
}

// parse reads the manifest in s.
func (s source) parse() (*manifest.Manifest, error) {
	m, err := manifest.Parse(s.data, s.contentType(), true, manifest.Budget{})
	if err != nil {
		return nil, &failure{exitInvalid, "cannot read manifest " + s.place(err), err, "check it with 'wadmctl app validate'"}
	}
	return m, nil
}

// body is what to send: the manifest as it is written, or, when it names
// images by relative paths, its canonical form with absolute ones.
func (s source) body(m *manifest.Manifest) ([]byte, error) {
	changed := false
	for i := range m.Spec.Components {
		image := m.Spec.Components[i].Properties.Image
		if image == nil || s.dir == "" {
			continue
		}
		path, ok := strings.CutPrefix(*image, "file://")
		if !ok || path == "" || filepath.IsAbs(path) {
			continue
		}
		absolute := "file://" + filepath.Join(s.dir, path)
		m.Spec.Components[i].Properties.Image = &absolute
		changed = true
	}
	if !changed {
		return s.data, nil
	}
	return m.MarshalJSON()
}

// same tells whether two manifests mean the same.
func same(a, b *manifest.Manifest) bool {
	x, errX := a.MarshalJSON()
	y, errY := b.MarshalJSON()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// linePattern finds the place in the words of the parser.
var linePattern = regexp.MustCompile(`at line (\d+)(?: column (\d+))?`)

// place is the name of the source with line and column, as far as err has them.
func (s source) place(err error) string {
	m := linePattern.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return s.name
	case m[2] == "":
		return s.name + ":" + m[1]
	default:
		return s.name + ":" + m[1] + ":" + m[2]
	}
}
