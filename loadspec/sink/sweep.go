package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// partMark is in the names of files in the making.
const partMark = ".cw-part-"

// Sweep removes hidden files that were to become objects.
func (s *fileStore) Sweep(_ context.Context, mark string) error {
	var failed []error
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() && path != s.dir {
			return fs.SkipDir // objects of one unload are side by side
		}
		name := d.Name()
		if d.Type().IsRegular() && strings.HasPrefix(name, ".") && strings.Contains(name, partMark) && strings.Contains(name, mark) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = append(failed, err)
			}
		}
		return nil
	})
	if err = errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("remove what an earlier run left in %s: %w", s.dir, err)
	}
	return nil
}

// Sweep gives up uploads that were to become objects.
func (s *s3Store) Sweep(ctx context.Context, mark string) error {
	var prefix *string
	if s.prefix != "" {
		prefix = aws.String(s.prefix + "/")
	}
	var keyMarker, idMarker *string
	for {
		page, err := retry(ctx, s, s.prefix, func(ctx context.Context, c *s3.Client) (*s3.ListMultipartUploadsOutput, error) {
			return c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: prefix, KeyMarker: keyMarker, UploadIdMarker: idMarker})
		})
		if err != nil {
			return fmt.Errorf("look for what an earlier run left in s3://%s/%s: %w", s.bucket, s.prefix, err)
		}
		for _, u := range page.Uploads {
			if key := aws.ToString(u.Key); strings.Contains(key, mark) {
				if err := s.abort(ctx, key, aws.ToString(u.UploadId)); err != nil {
					return err
				}
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextKeyMarker == nil {
			return nil
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}
