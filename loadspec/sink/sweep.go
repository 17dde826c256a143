package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/loadspec/s3api"
)

// partMark is in the names of files in the making.
const partMark = ".cw-part-"

// marked tells that an epoch stands between the dots of a name.
func marked(name, epoch string) bool {
	for {
		_, rest, ok := strings.Cut(name, "."+epoch)
		if !ok {
			return false
		}
		if rest == "" || rest[0] == '.' || rest[0] == '-' {
			return true
		}
		name = rest
	}
}

// Sweep removes hidden files that were to become objects.
func (s *fileStore) Sweep(_ context.Context, epoch string) error {
	return s.remove(func(name string) bool {
		return strings.HasPrefix(name, ".") && strings.Contains(name, partMark) && marked(name, epoch)
	})
}

// Clear removes files.
func (s *fileStore) Clear(_ context.Context, epoch string) error {
	return s.remove(func(name string) bool { return !strings.HasPrefix(name, ".") && marked(name, epoch) })
}

// remove removes the files with such names, of the folder and of the folders
// of partitions below it, and those folders when nothing is left in them.
func (s *fileStore) remove(wanted func(name string) bool) error {
	var failed []error
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() && path != s.dir && !strings.Contains(d.Name(), "=") {
			return fs.SkipDir // objects of one unload are side by side, or in its partitions
		}
		if !d.Type().IsRegular() || !wanted(d.Name()) {
			return nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		for dir := filepath.Dir(path); dir != s.dir && os.Remove(dir) == nil; {
			dir = filepath.Dir(dir)
		}
		return nil
	})
	if err = errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("remove what an earlier run left in %s: %w", s.dir, err)
	}
	return nil
}

// below is what the keys of the store's objects begin with; nil for nothing.
func (s *s3Store) below() *string {
	if s.prefix == "" {
		return nil
	}
	return aws.String(s.prefix + "/")
}

// Sweep gives up uploads that were to become objects.
func (s *s3Store) Sweep(ctx context.Context, epoch string) error {
	var keyMarker, idMarker *string
	for {
		page, err := retry(ctx, s, s.prefix, func(ctx context.Context, c *s3.Client) (*s3.ListMultipartUploadsOutput, error) {
			return c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: s.below(), KeyMarker: keyMarker, UploadIdMarker: idMarker})
		})
		if err != nil {
			return fmt.Errorf("look for what an earlier run left in s3://%s/%s: %w", s.bucket, s.prefix, err)
		}
		for _, u := range page.Uploads {
			if key := aws.ToString(u.Key); marked(path.Base(key), epoch) {
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

// Clear removes objects.
func (s *s3Store) Clear(ctx context.Context, epoch string) error {
	var token *string
	for {
		page, err := retry(ctx, s, s.prefix, func(ctx context.Context, c *s3.Client) (*s3.ListObjectsV2Output, error) {
			return c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.below(), ContinuationToken: token})
		})
		if err != nil {
			return fmt.Errorf("look for what an earlier run left in s3://%s/%s: %w", s.bucket, s.prefix, err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if !marked(path.Base(key), epoch) {
				continue
			}
			if _, err := retry(ctx, s, key, func(ctx context.Context, c *s3.Client) (*s3.DeleteObjectOutput, error) {
				out, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
				if s3api.Code(err) == "NoSuchKey" {
					err = nil
				}
				return out, err
			}); err != nil {
				return fmt.Errorf("remove s3://%s/%s, which an earlier run left: %w", s.bucket, key, err)
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			return nil
		}
		token = page.NextContinuationToken
	}
}
