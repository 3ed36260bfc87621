# The bucket is the truth: what is created in it stays as it is. The policy holds everybody to that, whatever their own
# permissions say: slots and control records can only be created, never replaced, and only the compactor deletes.

locals {
  root = var.prefix == "" ? "" : "${var.prefix}/"

  # Under a Deny, this exempts the administrators; without any, nobody.
  unless_admin = length(var.admin_role_arns) == 0 ? {} : {
    ArnNotLike = { "aws:PrincipalArn" = var.admin_role_arns }
  }

  policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OnlyOverTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        # A PUT without If-None-Match could replace what was acknowledged. Uploads in parts carry that header only at
        # their end; none are made here, and so their beginning is refused as well.
        Sid       = "SlotsAreOnlyCreated"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [for prefix in ["control", "journal"] : "${aws_s3_bucket.this.arn}/${local.root}${prefix}/*"]
        Condition = merge({ Null = { "s3:if-none-match" = "true" } }, local.unless_admin)
      },
      {
        Sid       = "OnlyTheCompactorDeletes"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource  = "${aws_s3_bucket.this.arn}/*"
        Condition = {
          ArnNotLike = { "aws:PrincipalArn" = concat(var.compactor_role_arns, var.admin_role_arns) }
        }
      },
    ]
  }
}

resource "aws_s3_bucket" "this" {
  bucket        = var.name
  force_destroy = var.force_destroy
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

# No rule may touch anything but probes and unfinished uploads: none knows what is still needed.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "probes"
    status = "Enabled"

    filter {
      prefix = "${local.root}probe/"
    }

    expiration {
      days = 1
    }
  }

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {
      prefix = local.root
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = var.abort_uploads_after_days
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = jsonencode(local.policy)

  depends_on = [aws_s3_bucket_public_access_block.this]
}

data "aws_region" "current" {}
