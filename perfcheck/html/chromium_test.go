package html

import (
	"bytes"
	"context"
	"image"
	"image/color"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A real browser draws the page at the width of a telephone and of a desk,
// light and dark, without a network: nothing is wider than the window, and the
// colours are the scheme's. CW_TEST_SHOTS=DIR keeps the pictures.
func TestInChromium(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed here: apt-get install chromium")
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, []byte(write(t, sample(0.5), sample(1))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		width string
		dark  bool
	}{{"desk-light", "1280,2400", false}, {"desk-dark", "1280,2400", true}, {"phone-light", "400,3600", false}, {"phone-dark", "400,3600", true}} {
		shot := filepath.Join(dir, c.name+".png")
		args := []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + filepath.Join(dir, c.name), "--host-resolver-rules=MAP * ~NOTFOUND",
			"--force-device-scale-factor=1", "--hide-scrollbars", "--window-size=" + c.width, "--screenshot=" + shot,
		}
		if c.dark {
			args = append(args, "--blink-settings=preferredColorScheme=0")
		} else {
			args = append(args, "--blink-settings=preferredColorScheme=1")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := exec.CommandContext(ctx, chromium, append(args, "file://"+page)...).CombinedOutput()
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
		if got := light(img.At(2, 2)); got == c.dark {
			t.Errorf("%s: the corner is %v", c.name, img.At(2, 2))
		}
		if n := colours(img); n < 20 {
			t.Errorf("%s: only %d colours: nothing is drawn", c.name, n)
		}
	}
}

func light(c color.Color) bool {
	r, g, b, _ := c.RGBA()
	return r+g+b > 3*0x8000
}

func colours(img image.Image) int {
	seen := map[color.Color]bool{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y += 3 {
		for x := b.Min.X; x < b.Max.X; x++ {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}
