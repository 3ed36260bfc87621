output "bucket" {
  description = "What the agents module wants to know of the bucket."
  value = {
    arn         = aws_s3_bucket.this.arn
    url         = "s3://${aws_s3_bucket.this.bucket}/${var.prefix}?region=${data.aws_region.current.name}"
    prefix      = var.prefix
    kms_key_arn = var.kms_key_arn
  }
}

output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}
