#!/usr/bin/env bash
#SBATCH -J dask-worker
#SBATCH -p gpu
#SBATCH -n 1
#SBATCH --cpus-per-task=8
#SBATCH --mem=30G
#SBATCH -t 12:00:00
#SBATCH --gres=gpu:1
export OMP_NUM_THREADS=8
