package process

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build compiles the server from the source of this module into dir and returns
// the path of the binary. The working directory must be inside the module. With
// race it reports data races on its standard error and exits with 66.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	path := filepath.Join(dir, "wadm")
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "wadm/cmd/wadm")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build wadm: %w\n%s", err, out)
	}
	return path, nil
}
