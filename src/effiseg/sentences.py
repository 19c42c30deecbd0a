"""Sentences of the plain summaries, in English and Korean: words and templates, no logic.

A template's fields stand in braces; both languages have the same templates with the same fields.
"""

WORDS = {  # Korean of what tables name in English
    # kinds of error, of effiseg.error_kinds
    "good": "양호",
    "wrong place": "위치 오류",
    "lesion missed": "병변 누락",
    "false lesion": "거짓 병변",
    "fragmented": "조각남",
    "too small": "과소 분할",
    "too large": "과대 분할",
    "ragged boundary": "경계 부정확",
    # strata, of effiseg.findings, and warnings, of effiseg.answers
    "small polyp": "작은 용종",
    "large polyp": "큰 용종",
    "several polyps": "여러 개의 용종",
    "irregular shape": "불규칙한 모양",
    "flat": "편평함",
    "low contrast": "낮은 대비",
    "weak edge": "약한 경계",
    "blurred": "흐림",
    "many highlights": "반사광 많음",
    "dark": "어두움",
    "touches the border": "이미지 가장자리에 닿음",
    "navigation inset": "내시경 위치 표시 화면",
    "touches the inset": "위치 표시 화면에 닿음",
    "low confidence": "낮은 신뢰도",
}

IMAGE = {  # of one image
    "en": {
        "good": "The model's answer for {name} is good.",
        "wrong place": "For {name} the model marks the wrong place.",
        "lesion missed": "For {name} the model misses a polyp.",
        "false lesion": "For {name} the model also marks a place where no polyp is.",
        "fragmented": "For {name} the model finds the polyp only in pieces.",
        "too small": "For {name} the model marks too little.",
        "too large": "For {name} the model marks too much.",
        "ragged boundary": "For {name} the model's outline is off to both sides.",
        "agreement": "Its answer and the annotation agree to a Dice of {dice} (1 is perfect; from "
        "{limit} on an answer counts as good).",
        "pixels": "It leaves out {missed} of the polyp's area, and {added} of what it marks is no "
        "polyp.",
        "nothing marked": "It marks nothing.",
        "no polyp": "The annotation shows no polyp.",
        "lesions": "Polyps found: {found} of {all}. Marked regions that touch no polyp: {false}.",
        "area": "Polyps cover {area} of the image.",
        "strata": "Beside the other images it counts as: {strata}.",
        "knew": "The model was unsure itself: it expected a Dice of {expected}, below {poor}.",
        "did not know": "The model did not know how poor its answer was: it expected a Dice of "
        "{expected}.",
        "doubted": "The model was less sure than it had to be: it expected a Dice of {expected}.",
        "sure": "The model itself expected a Dice of {expected}.",
        "warnings": "The answer carried the warnings: {warnings}.",
        "no warnings": "The answer carried no warning.",
        "suspect": "The annotation may be wrong here: models that have not seen the image "
        "contradict it surely. Someone who can tell has to look.",
    },
    "ko": {
        "good": "{name}: 모델의 답이 양호하다.",
        "wrong place": "{name}: 모델이 엉뚱한 곳을 표시했다.",
        "lesion missed": "{name}: 모델이 용종을 놓쳤다.",
        "false lesion": "{name}: 모델이 용종이 없는 곳도 표시했다.",
        "fragmented": "{name}: 모델이 용종을 여러 조각으로만 찾았다.",
        "too small": "{name}: 모델이 너무 적게 표시했다.",
        "too large": "{name}: 모델이 너무 많이 표시했다.",
        "ragged boundary": "{name}: 모델이 그린 경계가 안팎으로 모두 어긋났다.",
        "agreement": "모델의 답과 주석의 일치도(Dice)는 {dice}이다(1이 완전한 일치, {limit} "
        "이상이면 양호).",
        "pixels": "용종 면적의 {missed}를 표시하지 않았고, 표시한 영역의 {added}는 용종이 아니다.",
        "nothing marked": "아무것도 표시하지 않았다.",
        "no polyp": "주석에는 용종이 없다.",
        "lesions": "찾은 용종: {all}개 중 {found}개. 용종과 닿지 않는 표시 영역: {false}개.",
        "area": "용종은 이미지 면적의 {area}를 차지한다.",
        "strata": "다른 이미지와 비교하여 이 이미지가 속하는 층: {strata}.",
        "knew": "모델 스스로도 확신이 없었다(예상한 Dice {expected}, {poor} 미만).",
        "did not know": "모델은 자신의 답이 얼마나 나쁜지 몰랐다(예상한 Dice {expected}).",
        "doubted": "모델은 필요 이상으로 확신이 없었다(예상한 Dice {expected}).",
        "sure": "모델 스스로 예상한 Dice는 {expected}이다.",
        "warnings": "이 답에 붙은 경고: {warnings}.",
        "no warnings": "이 답에는 경고가 없었다.",
        "suspect": "이 이미지는 주석이 틀렸을 수 있다: 이 이미지를 본 적 없는 모델들이 확신을 "
        "가지고 주석과 다른 답을 낸다. 판단할 수 있는 사람이 확인해야 한다.",
    },
}

RESULTS = {  # of the whole pipeline
    "en": {
        "task": "EffiSeg trains small neural networks to mark polyps, growths of the bowel's "
        "lining, in images from colonoscopies. They learn from {train} images on which experts "
        "have outlined the polyps, and are tested on {test} others. How far an answer and the "
        "experts' outline agree is measured by Dice: 0 is not at all, 1 is perfect.",
        "scores": "Averaged over the test images, the baseline, a small version of the published "
        "method, reaches a Dice of {baseline} ({baseline_seeds} trainings), the improved model "
        "{improved} ({improved_seeds} trainings). The improved model is better on {wins} images, "
        "worse on {losses}, equal on {ties}.",
        "better": "Another choice of images or another training would give another difference: "
        "with 95 % confidence it lies between {low} and {high}. This is above zero, so the "
        "improved recipe is better on images like these. For images from other hospitals nothing "
        "follows from it.",
        "worse": "Another choice of images or another training would give another difference: "
        "with 95 % confidence it lies between {low} and {high}. This is below zero, so the "
        "improved recipe is worse on images like these.",
        "not shown": "Another choice of images or another training would give another difference: "
        "with 95 % confidence it lies between {low} and {high}. This includes zero, so it is not "
        "shown that the improved recipe is better.",
        "one seed": "Another choice of images would give another difference: with 95 % confidence "
        "it lies between {low} and {high}. One training of a model does not show what another one "
        "would give, so nothing follows for the recipe.",
        "too few images": "These are too few images to say how sure the difference is.",
        "errors": "To find out where the baseline is wrong, {analysed} images were judged by "
        "models that had not seen them. {good} of the answers are good (a Dice of {limit} or "
        "more). The most frequent errors among the others: {kinds}.",
        "hard": "Kinds of images on which answers are clearly worse (their mean Dice / that of all "
        "other images): {strata}.",
        "nothing hard": "No kind of image was shown to be harder than the others.",
        "annotators": "Annotations do not agree fully either: on {frames} images that were "
        "annotated twice, both outlines agree to a mean Dice of {annotators}.",
        "unexplained": "From size, shape, colour and sharpness of a polyp, {explained} of the "
        "differences between images could be predicted; where the rest comes from is not known. "
        "{suspects} annotations may be wrong.",
        "variants": "{tried} variants of the baseline, single changes and combinations, were tried "
        "on images that are not for testing. Each judged on its own, {better} of them are better "
        "by more than chance would explain.",
        "warnings": "An answer of the improved model can carry a warning: {warned} of {judged} "
        "test images have one. Of {poor} poor answers (a Dice below {poor_dice}), {found} were "
        "warned of.",
        "limits": "The models are no medical device. All images show a polyp and come from one "
        "group of hospitals: how often healthy tissue is marked, and how good the answers are "
        "elsewhere, is not known.",
    },
    "ko": {
        "task": "EffiSeg는 대장내시경 이미지에서 용종(장 점막에 생긴 혹)을 표시하도록 작은 "
        "신경망을 학습시킨다. 전문가가 용종의 윤곽을 표시한 이미지 {train}장으로 학습하고, 다른 "
        "이미지 {test}장으로 시험한다. 모델의 답과 전문가의 윤곽이 얼마나 일치하는지는 Dice로 "
        "나타낸다: 0은 전혀 일치하지 않음, 1은 완전한 일치이다.",
        "scores": "테스트 이미지 평균 Dice는 논문의 방법을 작게 만든 기준 모델이 {baseline}(학습 "
        "{baseline_seeds}회), 개선 모델이 {improved}(학습 {improved_seeds}회)이다. 개선 모델이 "
        "나은 이미지는 {wins}장, 못한 이미지는 {losses}장, 같은 이미지는 {ties}장이다.",
        "better": "이미지를 다르게 고르거나 다시 학습하면 차이도 달라진다: 95 % 신뢰 수준에서 그 "
        "차이는 {low} ~ {high} 사이에 있다. 이 구간이 0보다 크므로 이런 이미지에서는 개선된 "
        "레시피가 더 낫다. 다른 병원의 이미지에 대해서는 이 결과로 아무것도 말할 수 없다.",
        "worse": "이미지를 다르게 고르거나 다시 학습하면 차이도 달라진다: 95 % 신뢰 수준에서 그 "
        "차이는 {low} ~ {high} 사이에 있다. 이 구간이 0보다 작으므로 이런 이미지에서는 개선된 "
        "레시피가 더 나쁘다.",
        "not shown": "이미지를 다르게 고르거나 다시 학습하면 차이도 달라진다: 95 % 신뢰 수준에서 "
        "그 차이는 {low} ~ {high} 사이에 있다. 이 구간이 0을 포함하므로 개선된 레시피가 더 낫다는 "
        "것은 입증되지 않았다.",
        "one seed": "이미지를 다르게 고르면 차이도 달라진다: 95 % 신뢰 수준에서 그 차이는 {low} ~ "
        "{high} 사이에 있다. 한 번의 학습으로는 다시 학습했을 때의 결과를 알 수 없으므로, 레시피에 "
        "대해서는 아무것도 말할 수 없다.",
        "too few images": "차이가 얼마나 확실한지 말하기에는 이미지가 너무 적다.",
        "errors": "기준 모델이 어디에서 틀리는지 알아보기 위해, 이미지 {analysed}장을 각각 그 "
        "이미지를 본 적 없는 모델로 판정했다. 답의 {good}가 양호하다(Dice {limit} 이상). "
        "나머지에서 가장 흔한 오류: {kinds}.",
        "hard": "답이 뚜렷하게 더 나쁜 이미지의 종류(해당 이미지의 평균 Dice / 나머지 이미지의 "
        "평균 Dice): {strata}.",
        "nothing hard": "다른 이미지보다 어렵다고 입증된 종류는 없다.",
        "annotators": "주석끼리도 완전히 일치하지는 않는다: 두 번 주석된 이미지 {frames}장에서 두 "
        "윤곽의 평균 Dice는 {annotators}이다.",
        "unexplained": "용종의 크기, 모양, 색, 선명도로는 이미지 간 차이의 {explained}를 예측할 수 "
        "있었고, 나머지가 어디에서 오는지는 알려져 있지 않다. 주석이 틀렸을 수 있는 이미지는 "
        "{suspects}장이다.",
        "variants": "기준 모델의 변형 {tried}가지(한 가지만 바꾸거나 여러 가지를 함께 바꾼 것)를 "
        "테스트용이 아닌 이미지에서 시험했다. 각각을 따로 판단할 때, 그중 {better}가지는 우연으로 "
        "설명되지 않을 만큼 더 낫다.",
        "warnings": "개선 모델의 답에는 경고가 붙을 수 있다: 테스트 이미지 {judged}장 중 "
        "{warned}장에 경고가 붙었다. 나쁜 답(Dice {poor_dice} 미만) {poor}개 중 {found}개에는 "
        "경고가 붙어 있었다.",
        "limits": "이 모델들은 의료기기가 아니다. 모든 이미지에 용종이 있고 한 병원 그룹에서 "
        "얻은 것이다: 정상 조직을 얼마나 자주 용종으로 표시하는지, 다른 곳에서 얼마나 좋은 답을 "
        "내는지는 알려져 있지 않다.",
    },
}
