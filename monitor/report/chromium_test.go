package report

import (
	"bytes"
	"context"
	"image"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A real browser draws the page without a network, light at a desk and dark on
// a telephone. CW_TEST_SHOTS=DIR keeps the pictures.
func TestInChromium(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed here: apt-get install chromium")
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	var b bytes.Buffer
	if err := WriteHTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, width, scheme string
		dark                bool
	}{{"report-desk-light", "1280,3600", "1", false}, {"report-phone-dark", "400,5200", "0", true}} {
		shot := filepath.Join(dir, c.name+".png")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+filepath.Join(dir, c.name), "--host-resolver-rules=MAP * ~NOTFOUND",
			"--force-device-scale-factor=1", "--hide-scrollbars", "--window-size="+c.width, "--blink-settings=preferredColorScheme="+c.scheme, "--screenshot="+shot, "file://"+page).CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		data, err := os.ReadFile(shot)
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		if keep := os.Getenv("CW_TEST_SHOTS"); keep != "" {
			_ = os.WriteFile(filepath.Join(keep, c.name+".png"), data, 0o600)
		}
		img, _, err := image.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		r, g, bl, _ := img.At(2, 2).RGBA()
		if light := r+g+bl > 3*0x8000; light == c.dark {
			t.Errorf("%s: the corner is %v", c.name, img.At(2, 2))
		}
		seen := map[any]bool{}
		for y := 0; y < img.Bounds().Dy(); y += 3 {
			for x := range img.Bounds().Dx() {
				seen[img.At(x, y)] = true
			}
		}
		if len(seen) < 20 {
			t.Errorf("%s: only %d colours: nothing is drawn", c.name, len(seen))
		}
	}
}
